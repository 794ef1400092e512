/**
 * The storage driver on directories: which pools are served, and one thing at a time for each volume, image and seed.
 * Checks the pool's marker before every use; how files appear and vanish is said in `files.ts`.
 */
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { ImageInfo, VolumeRef } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { KeyedLock } from '../../keyed-lock.ts';
import { ProgramError } from '../program.ts';
import type { DiskFormat, DiskSource, ImageImport, LongCall, StorageDriver, VolumeCreate } from '../storage.ts';
import { hasCode, TemporaryFiles } from './files.ts';
import { PoolImages } from './images.ts';
import { DirectoryPool, type ServedPool } from './pool.ts';
import { type Seed, SeedFolder } from './seed.ts';
import { PoolVolumes } from './volumes.ts';

export interface DirectoryStorageOptions {
  /** Stands in the names of temporary files: leftovers in a shared pool are told apart by it. */
  readonly hostId: string;
  /** Folder of the NoCloud seeds, made when missing; QEMU must get through to it. */
  readonly seedDirectory: string;
  /** The driver's own memory: which pools were seen on this host, so that a missing mount is never taken for a new pool. */
  readonly stateDirectory: string;
}

interface ImageRef {
  readonly imageId: string;
  readonly poolId: string;
  readonly format: DiskFormat;
}

export class DirectoryStorageDriver implements StorageDriver {
  readonly #files: TemporaryFiles;
  readonly #images: PoolImages;
  readonly #volumes: PoolVolumes;
  readonly #seeds: SeedFolder;
  readonly #knownPools: string;
  readonly #lock = new KeyedLock();
  #pools = new Map<string, DirectoryPool>();

  constructor(options: DirectoryStorageOptions) {
    this.#files = new TemporaryFiles(options.hostId);
    this.#images = new PoolImages(this.#files);
    this.#volumes = new PoolVolumes(this.#files, this.#images);
    this.#seeds = new SeedFolder(options.seedDirectory);
    this.#knownPools = join(options.stateDirectory, 'pools');
  }

  applyPools(pools: readonly ServedPool[]): Promise<PoolReport[]> {
    return this.#lock.run('pools', async () => {
      const served = pools.map((spec) => {
        const known = this.#pools.get(spec.poolId);
        if (known !== undefined && isDeepStrictEqual(known.spec, spec)) return known;
        return new DirectoryPool(spec, this.#files, this.#knownPools);
      });
      const reports = await Promise.all(served.map((pool) => pool.prepare()));
      this.#pools = new Map(served.map((pool) => [pool.spec.poolId, pool]));
      return reports;
    });
  }

  report(): Promise<PoolReport[]> {
    return Promise.all([...this.#pools.values()].map((pool) => pool.report()));
  }

  importImage(request: ImageImport, call: LongCall): Promise<ImageInfo> {
    return this.#on(request.poolId, request.imageId, (pool) => this.#images.take(pool, request, call));
  }

  deleteImage({ poolId, imageId, format }: ImageRef): Promise<void> {
    return this.#on(poolId, imageId, (pool) => this.#images.delete(pool, imageId, format));
  }

  openImage({ poolId, imageId, format }: ImageRef): Promise<{ content: Readable; sizeBytes: number }> {
    return this.#on(poolId, imageId, (pool) => this.#images.open(pool, imageId, format));
  }

  createVolume(request: VolumeCreate, call: LongCall): Promise<{ sizeBytes: number }> {
    return this.#on(request.poolId, request.volumeId, (pool) => this.#volumes.create(pool, request, call));
  }

  resizeVolume(volume: VolumeRef, sizeBytes: number): Promise<{ sizeBytes: number }> {
    return this.#on(volume.poolId, volume.volumeId, (pool) => this.#volumes.resize(pool, volume, sizeBytes));
  }

  deleteVolume(volume: VolumeRef): Promise<void> {
    return this.#on(volume.poolId, volume.volumeId, (pool) => this.#volumes.delete(pool, volume));
  }

  list(poolId: string): Promise<{ volumeIds: string[]; imageIds: string[] }> {
    return this.#use(poolId, (pool) => this.#volumes.list(pool));
  }

  locate(volume: VolumeRef): Promise<DiskSource> {
    return this.#use(volume.poolId, (pool) => this.#volumes.locate(pool, volume));
  }

  writeSeed(vmId: string, name: string, cloudInit: Seed): Promise<DiskSource> {
    return this.#lock.run(`seed ${vmId}`, () => this.#seeds.write(vmId, name, cloudInit));
  }

  removeSeed(vmId: string): Promise<void> {
    return this.#lock.run(`seed ${vmId}`, () => this.#seeds.remove(vmId));
  }

  #on<T>(poolId: string, key: string, work: (pool: DirectoryPool) => Promise<T>): Promise<T> {
    return this.#lock.run(`${poolId}/${key}`, () => this.#use(poolId, work));
  }

  async #use<T>(poolId: string, work: (pool: DirectoryPool) => Promise<T>): Promise<T> {
    const pool = this.#pools.get(poolId);
    if (pool === undefined) throw new KvasirError('not-found', { kind: 'pool', id: poolId });
    await pool.require();
    try {
      return await work(pool);
    } catch (error) {
      if (!isFull(error)) throw error;
      const reason = `pool ${pool.spec.name} is full`;
      throw new KvasirError('host-failed', { reason }, undefined, { cause: error });
    }
  }
}

function isFull(error: unknown): boolean {
  if (error instanceof ProgramError) return error.stderr.includes('No space left on device');
  return hasCode(error, 'ENOSPC') || hasCode(error, 'EDQUOT');
}
