/**
 * Directories on the way to what QEMU opens. libvirt runs QEMU as a user of its own and gives that user each file, but no directory;
 * and the agent's unit has a umask that keeps everybody out. So here the mode is set, whatever the umask: all may get through, and
 * none but the owner sees what there is.
 */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const passable = 0o711;

/** Makes the directory, and those above it, where they are missing; one that is there is opened for passing, and stays as it is otherwise. */
export async function makePassable(directory: string): Promise<void> {
  // The first of those that it had to make, from above.
  const first = (await mkdir(directory, { recursive: true, mode: passable })) ?? resolve(directory);
  for (let each = resolve(directory); each.length >= first.length; each = dirname(each)) await openForPassing(each);
}

async function openForPassing(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  if ((mode & 0o111) !== 0o111) await chmod(directory, (mode & 0o7777) | 0o111);
}
