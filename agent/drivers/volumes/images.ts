/**
 * Images of a pool: taken in once, read-only ever after. Beside `images/<id>.<format>` lies `.<id>.json` with what the
 * inspection found, so that a repeated import answers the same without reading the whole file again.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ImageInfo } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { DiskFormat, ImageImport, LongCall } from '../storage.ts';
import { copySparsely, digestOf } from './copy.ts';
import { exists, hasCode, isMissing, removeFile, type TemporaryFiles, withFile } from './files.ts';
import { inspectImage } from './inspect.ts';
import type { DirectoryPool } from './pool.ts';
import { headerBytes, NotQcow2Error, readQcow2Header } from './qcow2-header.ts';

const formats: readonly DiskFormat[] = ['qcow2', 'raw'];
/** Files may be so much larger than the disk in them: tables, and clusters that were freed. */
const overheadBytes = 64 * 1024 * 1024;

export class PoolImages {
  readonly #files: TemporaryFiles;

  constructor(files: TemporaryFiles) {
    this.#files = files;
  }

  async take(pool: DirectoryPool, request: ImageImport, call: LongCall): Promise<ImageInfo> {
    const { imageId, source } = request;
    const there = await this.#find(pool, imageId);
    if (there !== null) {
      if ('content' in source) source.content.destroy();
      return there;
    }
    // The format, hence the final name, is known only after the inspection.
    await this.#files.appearAs(pool.imagesDirectory, 0o444, async (temporary) => {
      const copied = await withSource(pool, source, (content, sizeBytes) => {
        refuseTooLarge(sizeBytes, request.maxVirtualSizeBytes);
        return writeFrom(temporary, (file) => copySparsely(content, file, sizeBytes, call));
      });
      if (request.expectedSha256 !== null && request.expectedSha256.toLowerCase() !== copied.sha256) {
        throw bad(`its SHA-256 is ${copied.sha256}, not ${request.expectedSha256}`);
      }
      const found = await inspectImage(temporary, request);
      const info: ImageInfo = { ...found, ...copied };
      await removeFile(infoPath(pool, imageId));
      await this.#files.write(infoPath(pool, imageId), 0o444, JSON.stringify(info));
      return `${imageId}.${found.format}`;
    });
    const taken = await this.#find(pool, imageId);
    if (taken === null)
      throw new KvasirError('host-failed', { reason: `image ${imageId} vanished from ${pool.spec.name}` });
    return taken;
  }

  /** Refused (`in-use`) while a linked volume of the pool stands on it. */
  async delete(pool: DirectoryPool, imageId: string, format: DiskFormat): Promise<void> {
    const path = pool.imagePath(imageId, format);
    if (await exists(path)) {
      const user = await this.#linkedVolume(pool, `${imageId}.${format}`);
      if (user !== null) throw new KvasirError('in-use', { kind: 'image', name: imageId, by: `volume ${user}` });
    }
    await removeFile(path);
    await removeFile(infoPath(pool, imageId));
  }

  async open(
    pool: DirectoryPool,
    imageId: string,
    format: DiskFormat,
  ): Promise<{ content: Readable; sizeBytes: number }> {
    const file = await openImageFile(pool.imagePath(imageId, format), imageId);
    const { size } = await file.stat();
    return { content: file.createReadStream(), sizeBytes: size };
  }

  /** Size of the disk in an image that lies here. Errors: `not-found`. */
  async virtualSize(pool: DirectoryPool, imageId: string, format: DiskFormat): Promise<number> {
    const file = await openImageFile(pool.imagePath(imageId, format), imageId);
    try {
      if (format === 'raw') return (await file.stat()).size;
      const start = Buffer.alloc(headerBytes);
      const { bytesRead } = await file.read(start, 0, start.length, 0);
      return readQcow2Header(start.subarray(0, bytesRead)).virtualSizeBytes;
    } finally {
      await file.close();
    }
  }

  async #find(pool: DirectoryPool, imageId: string): Promise<ImageInfo | null> {
    for (const format of formats) {
      const path = pool.imagePath(imageId, format);
      if (!(await exists(path))) continue;
      const known = await readInfo(infoPath(pool, imageId));
      if (known !== null && known.format === format && known.sizeBytes === (await stat(path)).size) return known;
      const { content, sizeBytes } = await this.open(pool, imageId, format);
      const sha256 = await digestOf(content);
      return { format, sizeBytes, sha256, virtualSizeBytes: await this.virtualSize(pool, imageId, format) };
    }
    return null;
  }

  async #linkedVolume(pool: DirectoryPool, imageName: string): Promise<string | null> {
    for (const name of await readdir(pool.volumesDirectory)) {
      if (!name.endsWith('.qcow2')) continue;
      const backing = await backingFileOf(join(pool.volumesDirectory, name));
      if (backing?.split('/').at(-1) === imageName) return name.slice(0, -'.qcow2'.length);
    }
    return null;
  }
}

/** The backing file that a qcow2 names; null when it has none, is broken, or is no longer there. */
export async function backingFileOf(path: string): Promise<string | null> {
  try {
    return await withFile(path, 'r', async (file) => {
      const start = Buffer.alloc(headerBytes);
      const { bytesRead } = await file.read(start, 0, start.length, 0);
      return readQcow2Header(start.subarray(0, bytesRead)).backingFile;
    });
  } catch (error) {
    if (isMissing(error) || error instanceof NotQcow2Error) return null;
    throw error;
  }
}

async function withSource<T>(
  pool: DirectoryPool,
  source: ImageImport['source'],
  work: (content: Readable, sizeBytes: number) => Promise<T>,
): Promise<T> {
  if ('content' in source) {
    try {
      return await work(source.content, source.sizeBytes);
    } finally {
      source.content.destroy();
    }
  }
  const file = await openImport(pool, source.file);
  try {
    const { size } = await file.stat();
    return await work(file.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 }), size);
  } finally {
    await file.close();
  }
}

/** Never follows a link, never opens a device or a pipe, never leaves the folder. */
async function openImport(pool: DirectoryPool, name: string): Promise<FileHandle> {
  if (name === '' || name.includes('/') || name.includes('\0') || name.startsWith('.')) {
    throw new KvasirError('invalid-request', { reason: `"${name}" is no plain file name` });
  }
  const folder = await lstat(pool.importDirectory);
  if (!folder.isDirectory()) throw bad('import/ of the pool is no folder');
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let file: FileHandle;
  try {
    // oxlint-disable-next-line no-bitwise
    file = await open(join(pool.importDirectory, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) throw new KvasirError('not-found', { kind: 'file', id: `import/${name}` });
    if (hasCode(error, 'ELOOP')) throw bad('it is a symbolic link');
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw bad('it is no regular file');
}

async function openImageFile(path: string, imageId: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) throw new KvasirError('not-found', { kind: 'image', id: imageId });
    throw error;
  }
}

async function writeFrom<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'wx', 0o600);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

function refuseTooLarge(sizeBytes: number, limit: number | null): void {
  if (limit === null || sizeBytes <= limit + limit / 8 + overheadBytes) return;
  throw bad(`it has ${sizeBytes} bytes, far more than the ${limit} allowed`);
}

function infoPath(pool: DirectoryPool, imageId: string): string {
  return join(pool.imagesDirectory, `.${imageId}.json`);
}

async function readInfo(path: string): Promise<ImageInfo | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ImageInfo;
  } catch {
    return null;
  }
}

function bad(reason: string): KvasirError {
  return new KvasirError('bad-image', { reason });
}
