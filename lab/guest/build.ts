/**
 * Builds the tiny guest image once for each version of this folder's files and keeps it in a cache. The cache's entry is named by
 * a hash of them and appears by a rename, so it is whole or not there. Newer packages alone are no reason to build again: to ask
 * for their versions costs seconds, and a kernel that boots is good enough.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findPackage, resolveMetaPackage, unpackPackage } from './debian-packages.ts';
import { buildDiskImage } from './disk-image.ts';
import { GuestBuildError, buildInitramfs } from './initramfs.ts';

export type GuestImage = {
  /** A standalone qcow2 of 64 MiB virtual size. */
  readonly path: string;
  readonly directory: string;
  readonly built: boolean;
};

export const guestCache = '/var/cache/kvasir/guest';

/** A hash over the build's files; tests do not count. */
export function hashInputs(directory: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of files)
    hash
      .update(`${file.slice(directory.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex').slice(0, 16);
}

/** What builds left whose process was killed. */
export function removeAbandonedBuilds(cache: string): void {
  for (const name of readdirSync(cache)) {
    const pid = /^building-([0-9]+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(cache, name), { recursive: true, force: true });
  }
}

/** The image, built now if it is not in the cache (10 to 30 s). */
export async function tinyGuestImage(
  progress: (step: string) => void = () => undefined,
  cache: string = guestCache,
): Promise<GuestImage> {
  const directory = join(cache, hashInputs(import.meta.dirname));
  const path = join(directory, 'tiny.qcow2');
  if (existsSync(path)) return { path, directory, built: false };
  const [kernel, agent] = await Promise.all([
    resolveMetaPackage('linux-image-cloud-amd64', /^linux-image-[0-9].*-cloud-amd64$/),
    findPackage('qemu-guest-agent'),
  ]);
  mkdirSync(cache, { recursive: true });
  removeAbandonedBuilds(cache);
  const work = mkdtempSync(join(cache, `building-${process.pid}-`));
  try {
    progress(`taking ${kernel.name} ${kernel.version} and ${agent.name} ${agent.version} apart`);
    const trees = { kernel: join(work, 'kernel'), agent: join(work, 'agent') };
    await Promise.all([unpackPackage(kernel, trees.kernel), unpackPackage(agent, trees.agent)]);
    const release = /^linux-image-(.*)$/.exec(kernel.name)?.[1] ?? '';
    if (!existsSync(join(trees.kernel, 'lib/modules')) && existsSync(join(trees.kernel, 'usr/lib/modules'))) {
      renameSync(join(trees.kernel, 'usr/lib'), join(trees.kernel, 'lib'));
    }
    const vmlinuz = join(trees.kernel, 'boot', `vmlinuz-${release}`);
    if (!existsSync(vmlinuz)) throw new GuestBuildError(`${kernel.name} holds no boot/vmlinuz-${release}`);
    progress('packing the initramfs');
    const initramfs = await buildInitramfs(work, { ...trees, release });
    progress('writing the disk image');
    const done = join(work, 'done');
    mkdirSync(done);
    await buildDiskImage(work, vmlinuz, initramfs, join(done, 'tiny.qcow2'));
    try {
      renameSync(done, directory);
    } catch (error) {
      // Somebody else built the same meanwhile.
      if (!existsSync(path)) throw error;
    }
    return { path, directory, built: true };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
