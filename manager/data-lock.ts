/**
 * Keeps a data folder to one manager process. The lock is one that the kernel gives back when the process ends, however it
 * ends: an exclusive transaction on an SQLite file of its own.
 */
import SqliteDatabase from 'better-sqlite3';
import { join } from 'node:path';

export interface DataLock {
  release(): void;
}

/** @throws Error when another manager uses the folder */
export function lockDataFolder(folder: string): DataLock {
  const lock = new SqliteDatabase(join(folder, 'lock.db'), { timeout: 0 });
  try {
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('begin exclusive');
  } catch (error) {
    lock.close();
    throw new Error(`Another manager uses the folder ${folder}`, { cause: error });
  }
  return { release: () => lock.close() };
}
