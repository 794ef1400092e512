/** The folder where uploads collect until their import has streamed them to a host: one file an upload, named by its id. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { UploadSpool } from '../tasks/kind.ts';

/** Kept free on the manager's disk whatever is uploaded. */
const reserveBytes = 1024 ** 3;

export class FileSpool implements UploadSpool {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
  }

  /** @throws KvasirError unsupported when its content is not here: each manager has a folder of its own */
  async open(uploadId: string): Promise<Readable> {
    const handle = await open(this.path(uploadId), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      const reason =
        'The content lies with the manager that took it, and not with the one that leads now: upload it again';
      throw new KvasirError('unsupported', { reason }, undefined, { cause: error });
    });
    return createReadStream('', { fd: handle });
  }

  async remove(uploadId: string): Promise<void> {
    await rm(this.path(uploadId), { force: true });
    await rm(`${this.path(uploadId)}.json`, { force: true });
  }

  /** Bytes that have arrived; 0 when nothing has. */
  async size(uploadId: string): Promise<number> {
    try {
      return (await stat(this.path(uploadId))).size;
    } catch {
      return 0;
    }
  }

  /** Until the content is on the disk and not only in its cache. */
  async sync(uploadId: string): Promise<void> {
    const handle = await open(this.path(uploadId), 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Ids of all uploads with a file here. */
  async list(): Promise<string[]> {
    const files = await readdir(this.directory);
    return [...new Set(files.map((file) => file.replace(/\.json$/, '')))];
  }

  /** What uploads may still take from the disk. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory);
    return Math.max(0, bavail * bsize - reserveBytes);
  }

  path(uploadId: string): string {
    return join(this.directory, uploadId);
  }
}
