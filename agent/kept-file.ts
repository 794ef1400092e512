/**
 * Files in which the agent keeps what it has to know after a restart. Each is written as a whole: whatever crashes when, it holds
 * the content before or the one after, never a part.
 */
import { open, readFile, rename } from 'node:fs/promises';

/** Of the file that is written and then put in place; one that is found later is what a crash left. */
export const unfinishedEnding = '.new';

/**
 * Resolves when the content is on disk under this name; only root can read it.
 * @param unfinished another name for it until then, when more than one process may write this file
 */
export async function writeKeptFile(
  path: string,
  content: string,
  unfinished = path + unfinishedEnding,
): Promise<void> {
  const file = await open(unfinished, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
}

/** Undefined when there is none. */
export async function readKeptFile(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
