/** Where test databases lie: in memory where the machine has a file system for it, for what they hold needs to survive nothing. */
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';

const inMemory = '/dev/shm';

export const memoryFolder = isWritable(inMemory) ? inMemory : tmpdir();

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
