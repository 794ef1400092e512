/**
 * What the keeper says, in a file that never holds more than `mostBytes` and a little, beside one of before. The keeper outlives agents
 * by months, says the same several times a second while a storage is lost, and has nobody who would turn its log over.
 *
 * Nothing of it waits for a disk but the line itself: who renews leases cannot. The file keeps its name and is emptied, since the keeper
 * and its children have it open, all of them at its end.
 */
import { writeSync } from 'node:fs';
import { copyFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const mostBytes = 1024 * 1024;

export function keeperLogFile(directory: string): string {
  return join(directory, 'keeper.log');
}

/** Lays it aside when it is long. Lines that are written just then are lost. @throws when there is none, or it cannot be emptied */
export async function limitKeeperLog(path: string): Promise<void> {
  if ((await stat(path)).size <= mostBytes) return;
  // On a full disk there may be no room for that.
  await copyFile(path, `${path}.before`).catch(() => {});
  await truncate(path);
}

/** Of a process whose standard error is that file. */
export class KeeperLog {
  readonly #path: string;
  #limiting = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** What cannot be written, as on a full disk, is lost: a keeper that ended over it would be worse. */
  say(message: string): void {
    try {
      writeSync(process.stderr.fd, `${new Date().toISOString()} keeper: ${message}\n`);
    } catch {
      // There is nowhere else to say so.
    }
    if (this.#limiting) return;
    this.#limiting = true;
    void limitKeeperLog(this.#path)
      .catch(() => {})
      .finally(() => (this.#limiting = false));
  }
}
