/**
 * How files appear in a pool: written under a temporary name, synced, then given their final name, which must still be
 * free. So a file with a final name is complete, and nothing complete is ever replaced: of two writers one loses.
 *
 * Temporary names tell who writes (`.tmp-<host>-<time>-<random>`): in a shared pool only the writer's own leftovers, and
 * those that are too old for anybody to be still at work, are removed.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, link, lstat, open, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from '@kvasir/api/kept-file.ts';

const prefix = '.tmp-';
/** Nobody writes one image for longer. */
const abandonedAfterMs = 7 * 24 * 3600 * 1000;

export class TemporaryFiles {
  readonly #hostId: string;
  readonly #inUse = new Set<string>();

  constructor(hostId: string) {
    this.#hostId = hostId;
  }

  /**
   * Lets `write` fill a new file beside `path`, then gives it that name. Answers false, and keeps what is there, when
   * the name was taken meanwhile. Nothing is left behind when `write` fails.
   */
  appear(path: string, mode: number, write: (temporary: string) => Promise<void>): Promise<boolean> {
    return this.appearAs(dirname(path), mode, async (temporary) => {
      await write(temporary);
      return basename(path);
    });
  }

  /** As `appear`, where only `write` finds out the name. */
  async appearAs(directory: string, mode: number, write: (temporary: string) => Promise<string>): Promise<boolean> {
    const name = `${prefix}${this.#hostId}-${Date.now()}-${randomBytes(6).toString('hex')}`;
    const temporary = join(directory, name);
    this.#inUse.add(name);
    try {
      const finalName = await write(temporary);
      await withFile(temporary, 'r', async (file) => {
        await file.chmod(mode);
        await file.sync();
      });
      const placed = await place(temporary, join(directory, finalName));
      await syncDirectory(directory);
      return placed;
    } finally {
      await rm(temporary, { force: true });
      this.#inUse.delete(name);
    }
  }

  /** As `appear`, with a text as the content. */
  write(path: string, mode: number, text: string): Promise<boolean> {
    return this.appear(path, mode, (temporary) => writeFile(temporary, text, { mode: 0o600, flag: 'wx' }));
  }

  /** Removes what crashes left in `directory`. */
  async sweep(directory: string, shared: boolean): Promise<void> {
    const own = `${prefix}${this.#hostId}-`;
    for (const name of await readdir(directory)) {
      if (!name.startsWith(prefix) || this.#inUse.has(name)) continue;
      const path = join(directory, name);
      if (name.startsWith(own) || !shared || (await isOld(path))) await rm(path, { force: true });
    }
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR');
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Removes a file for good; one that is not there counts as removed. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return;
  }
  await syncDirectory(dirname(path));
}

export async function withFile<T>(
  path: string,
  flags: string | number,
  work: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** A link refuses a taken name, a rename does not; file systems without links get the second best. */
async function place(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    if (!hasCode(error, 'EPERM') && !hasCode(error, 'ENOTSUP') && !hasCode(error, 'ENOSYS')) throw error;
  }
  if (await exists(path)) return false;
  await rename(temporary, path);
  return true;
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await lstat(path)).mtimeMs > abandonedAfterMs;
  } catch {
    return false;
  }
}
