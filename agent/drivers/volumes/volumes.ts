/**
 * Volumes of a pool. A linked clone names its image by a path relative to itself (`../images/<id>.qcow2`): the same on every
 * host of a shared pool, wherever each of them mounts it.
 */
import { constants } from 'node:fs';
import { copyFile, readdir } from 'node:fs/promises';
import type { VolumeRef } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { ProgramError } from '../program.ts';
import type { DiskFormat, DiskSource, LongCall, VolumeCreate } from '../storage.ts';
import { exists, removeFile, type TemporaryFiles } from './files.ts';
import type { PoolImages } from './images.ts';
import type { DirectoryPool } from './pool.ts';
import { convertDisk, createDisk, diskSize, resizeDisk } from './qemu-img.ts';

const sectorBytes = 512;
const idForm = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(qcow2|raw)$/;

export class PoolVolumes {
  readonly #files: TemporaryFiles;
  readonly #images: PoolImages;

  constructor(files: TemporaryFiles, images: PoolImages) {
    this.#files = files;
    this.#images = images;
  }

  /** One that is there already stays as it is. */
  async create(pool: DirectoryPool, request: VolumeCreate, call: LongCall): Promise<{ sizeBytes: number }> {
    const { format, from } = request;
    const path = pool.volumePath(request.volumeId, format);
    if (await exists(path)) return { sizeBytes: await sizeOf(path, format, request.sizeBytes) };
    if (from?.mode === 'linked' && format !== 'qcow2') {
      throw new KvasirError('unsupported', { reason: 'A linked clone must be qcow2' });
    }
    const sizeBytes = wholeSectors(request.sizeBytes);
    if (from === null) {
      await this.#files.appear(path, 0o600, (temporary) => createDisk(temporary, format, sizeBytes, null));
      return { sizeBytes };
    }
    const imageBytes = await this.#images.virtualSize(pool, from.imageId, from.imageFormat);
    if (sizeBytes < imageBytes) {
      const reason = `a volume of ${sizeBytes} bytes is smaller than its image of ${imageBytes}`;
      throw new KvasirError('invalid-request', { reason });
    }
    const image = { path: pool.imagePath(from.imageId, from.imageFormat), format: from.imageFormat };
    await this.#files.appear(path, 0o600, async (temporary) => {
      if (from.mode === 'linked') {
        const backing = { path: `../images/${from.imageId}.${from.imageFormat}`, format: from.imageFormat };
        await createDisk(temporary, format, sizeBytes, backing);
        return;
      }
      if (image.format !== format || !(await sharedCopy(image.path, temporary))) {
        await convertDisk(image, { path: temporary, format }, imageBytes, call);
      }
      if (sizeBytes > imageBytes) await resizeDisk(temporary, format, sizeBytes);
    });
    return { sizeBytes };
  }

  async resize(pool: DirectoryPool, volume: VolumeRef, bytes: number): Promise<{ sizeBytes: number }> {
    const { path } = await this.locate(pool, volume);
    const sizeBytes = wholeSectors(bytes);
    const now = await diskSize(path, volume.format);
    if (sizeBytes < now) {
      throw new KvasirError('invalid-request', { reason: `a volume of ${now} bytes cannot shrink to ${sizeBytes}` });
    }
    if (sizeBytes > now) await resizeDisk(path, volume.format, sizeBytes);
    return { sizeBytes };
  }

  /** Refused (`in-use`) while a QEMU process, of whichever host, holds the image lock. */
  async delete(pool: DirectoryPool, volume: VolumeRef): Promise<void> {
    const path = pool.volumePath(volume.volumeId, volume.format);
    if (!(await exists(path))) return;
    try {
      await diskSize(path, volume.format);
    } catch (error) {
      // A broken file may be deleted; one that is locked, or could not be looked at, not.
      if (!(error instanceof ProgramError) || error.exitCode === null) throw error;
    }
    await removeFile(path);
  }

  async locate(pool: DirectoryPool, volume: VolumeRef): Promise<DiskSource> {
    const path = pool.volumePath(volume.volumeId, volume.format);
    if (!(await exists(path))) throw new KvasirError('not-found', { kind: 'volume', id: volume.volumeId });
    return { kind: 'file', path, format: volume.format };
  }

  async list(pool: DirectoryPool): Promise<{ volumeIds: string[]; imageIds: string[] }> {
    return { volumeIds: await idsIn(pool.volumesDirectory), imageIds: await idsIn(pool.imagesDirectory) };
  }
}

/** Shares the blocks where the file system can (XFS, btrfs); false where it cannot. */
async function sharedCopy(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  }
}

/** A volume that a running VM has open cannot be asked; then it is as large as was asked for. */
async function sizeOf(path: string, format: DiskFormat, asked: number): Promise<number> {
  try {
    return await diskSize(path, format);
  } catch (error) {
    if (error instanceof KvasirError && error.code === 'in-use') return asked;
    throw error;
  }
}

async function idsIn(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return [...new Set(names.flatMap((name) => idForm.exec(name)?.[1] ?? []))].sort();
}

function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / sectorBytes) * sectorBytes;
}
