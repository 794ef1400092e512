/**
 * The tiny guest's file system: the scripts in root/, a static busybox, QEMU's guest agent with its libraries, and the
 * kernel modules in the order of loading. Packed as an lz4 cpio, which the kernel unpacks fastest under emulation.
 */
import { copyFileSync, cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { attempt, run } from '../command.ts';

const modules = [
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
  'virtio_console',
  'virtio_balloon',
  'virtio-rng',
  'virtio_mem',
  'virtio_scsi',
  'sd_mod',
  'sr_mod',
  'isofs',
  'nls_utf8',
  'nls_iso8859-1',
  'button',
  'evdev',
  'pvpanic-mmio',
  '8021q',
];

export class GuestBuildError extends Error {}

/** The files of `modprobe --show-depends`, in order; lines for what is built into the kernel have none. */
export function moduleFiles(showDepends: string): string[] {
  return showDepends.split('\n').flatMap((line) => /^insmod (\S+)/.exec(line.trim())?.[1] ?? []);
}

/** The libraries that ldd names; throws for one that the machine lacks. */
export function libraries(ldd: string): string[] {
  const missing = /^\s*(\S+) => not found/m.exec(ldd);
  if (missing !== null) throw new GuestBuildError(`the guest agent needs ${missing[1]}, which this machine lacks`);
  return [...ldd.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
}

/**
 * Those modules that the kernel has, with all that they need, and the file `order` that tells in what order they are loaded.
 * @returns the names of the files
 */
export async function addModules(
  kernelTree: string,
  release: string,
  directory: string,
  names: readonly string[],
): Promise<string[]> {
  await run(['depmod', '-b', kernelTree, release]);
  mkdirSync(directory, { recursive: true });
  const order: string[] = [];
  for (const name of names) {
    const asked = await attempt(['modprobe', '-d', kernelTree, '-S', release, '--show-depends', name]);
    for (const file of moduleFiles(asked.stdout)) {
      const plain = basename(file).replace(/\.(xz|zst|gz)$/, '');
      if (order.includes(plain)) continue;
      order.push(plain);
      const target = join(directory, plain);
      copyFileSync(file, join(directory, basename(file)));
      if (file.endsWith('.xz')) await run(['xz', '-d', join(directory, basename(file))]);
      else if (file.endsWith('.zst')) await run(['zstd', '-q', '-d', '--rm', join(directory, basename(file))]);
      else if (file.endsWith('.gz')) await run(['gzip', '-d', join(directory, basename(file))]);
      await run(['strip', '--strip-debug', target]);
    }
  }
  writeFileSync(join(directory, 'order'), order.map((name) => `${name}\n`).join(''));
  return order;
}

async function addGuestAgent(agentTree: string, root: string): Promise<void> {
  const agent = join(agentTree, 'usr/sbin/qemu-ga');
  copyFileSync(agent, join(root, 'usr/sbin/qemu-ga'));
  for (const library of libraries(await run(['ldd', agent]))) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    // Follows links: the loader asks for this very name.
    copyFileSync(library, join(root, library));
  }
}

/**
 * @param trees the unpacked packages
 * @returns the path of the packed initramfs in `work`
 */
export async function buildInitramfs(
  work: string,
  trees: { readonly kernel: string; readonly agent: string; readonly release: string },
): Promise<string> {
  const root = join(work, 'root');
  const directories = [
    'bin',
    'sbin',
    'usr/sbin',
    'dev',
    'proc',
    'sys',
    'tmp',
    'run',
    'mnt',
    'root',
    'lib/modules',
    'var/run',
    'var/log',
  ];
  cpSync(join(import.meta.dirname, 'root'), root, { recursive: true });
  for (const directory of directories) mkdirSync(join(root, directory), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  symlinkSync('busybox', join(root, 'bin/sh'));
  const added = await addModules(trees.kernel, trees.release, join(root, 'lib/modules'), modules);
  if (!added.includes('virtio_blk.ko')) throw new GuestBuildError(`kernel ${trees.release} has no module virtio_blk`);
  await addGuestAgent(trees.agent, root);
  return packInitramfs(work, root);
}

/** @returns the path of the packed initramfs in `work` */
export async function packInitramfs(work: string, root: string): Promise<string> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  const archive = join(work, 'initramfs.cpio');
  await run(['cpio', '--quiet', '--create', '--format=newc', '--owner=0:0', `--file=${archive}`], {
    cwd: root,
    input: `${['.', ...names].join('\n')}\n`,
  });
  await run(['lz4', '-l', '-9', '-q', '-f', archive, `${archive}.lz4`]);
  return `${archive}.lz4`;
}
