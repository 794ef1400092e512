/**
 * What is remembered of an unfinished upload, so that the same command goes on where the last one was cut off: one file
 * for each (manager, project, image name, pool, file with its size and time). Another file content starts afresh.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { unfinishedEnding, writeKeptFile } from '@kvasir/api/kept-file.ts';

export interface UploadState {
  /** Written before the upload is announced, so that a lost answer does not make a second image. */
  readonly idempotencyKey: string;
  readonly uploadPath?: string;
  readonly imageId?: string;
}

export interface UploadStateFile {
  read(): Promise<UploadState | undefined>;
  write(state: UploadState): Promise<void>;
  remove(): Promise<void>;
}

export function uploadStateFile(
  identity: readonly (string | number | undefined)[],
  env: Readonly<Record<string, string | undefined>>,
): UploadStateFile {
  const folder = join(env.XDG_STATE_HOME || join(env.HOME ?? homedir(), '.local', 'state'), 'kvasir', 'uploads');
  const path = join(folder, `${createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32)}.json`);
  return {
    async read() {
      try {
        return JSON.parse(await readFile(path, 'utf8')) as UploadState;
      } catch {
        // Missing or broken: the upload starts afresh.
        return undefined;
      }
    },
    async write(state) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeKeptFile(path, JSON.stringify(state), `${path}.${randomUUID()}${unfinishedEnding}`);
    },
    remove: () => rm(path, { force: true }),
  };
}
