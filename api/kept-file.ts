/**
 * Files in which a program keeps what it has to know after a restart. Each is written as a whole: whatever crashes when, also the
 * machine, it holds the content before or the one after, never a part; and once `writeKeptFile` has resolved, the one after.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Of the file that is written and then put in place; one that is found later is what a crash left. */
export const unfinishedEnding = '.new';

/**
 * Resolves when the content is on disk under this name; only its owner can read it.
 * @param unfinished another name for it until then, when more than one process may write this file
 */
export async function writeKeptFile(
  path: string,
  content: string,
  unfinished = path + unfinishedEnding,
): Promise<void> {
  const file = await open(unfinished, 'w', 0o600);
  try {
    // One that a crash left, or a stranger laid there, may have another mode.
    await file.chmod(0o600);
    await file.writeFile(content);
    await file.sync();
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await syncDirectory(dirname(path));
}

/** Undefined when there is none. */
export async function readKeptFile(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** A new name is on disk only when its directory is. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
