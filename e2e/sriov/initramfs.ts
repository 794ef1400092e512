/** The file system of a machine here: busybox, one of the scripts of this folder as its first process, and kernel modules. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { addModules, packInitramfs } from '@kvasir/lab/guest/initramfs.ts';
import type { Unpacked } from './packages.ts';

/** @param modules the last of them has to be there, built in or not is known of the others */
export async function initramfs(
  work: string,
  { kernel, release }: Unpacked,
  init: string,
  modules: readonly string[],
): Promise<string> {
  const root = join(work, 'root');
  for (const name of ['bin', 'dev', 'proc', 'sys', 'host']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  symlinkSync('busybox', join(root, 'bin/sh'));
  copyFileSync(join(import.meta.dirname, init), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  if (!existsSync(join(kernel, 'lib/modules'))) renameSync(join(kernel, 'usr/lib'), join(kernel, 'lib'));
  const added = await addModules(kernel, release, join(root, 'lib/modules'), modules);
  const last = `${modules.at(-1)}.ko`;
  if (!added.includes(last)) throw new Error(`kernel ${release} has no module ${last}`);
  return packInitramfs(work, root);
}
