/** StorageDriver on a simulated host: pools are `SimDirectory`s, those of shared pools the world's. */
import { Readable } from 'node:stream';
import type { PoolReport, PoolSpec } from '@kvasir/api/agent/host.ts';
import type { ImageInfo, VolumeRef } from '@kvasir/api/agent/storage.ts';
import type { CloudInit } from '@kvasir/api/resources/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { DiskFormat, DiskSource, ImageImport, LongCall, StorageDriver, VolumeCreate } from '../storage.ts';
import type { SimDirectory, SimVolume } from './directory.ts';
import type { SimHost } from './host.ts';
import { inspectContent, readAll } from './image-content.ts';

type ServedPool = PoolSpec & { readonly initialize: boolean };
interface ImageRef {
  readonly imageId: string;
  readonly poolId: string;
  readonly format: DiskFormat;
}

const mib = 1024 * 1024;
/** What an empty or linked qcow2 takes. */
const metadataBytes = 196_624;

export class SimStorageDriver implements StorageDriver {
  readonly #host: SimHost;
  #pools = new Map<string, ServedPool>();

  constructor(host: SimHost) {
    this.#host = host;
  }

  applyPools(pools: readonly ServedPool[]): Promise<PoolReport[]> {
    return this.#perform('applyPools', () => {
      for (const pool of pools) {
        const directory = this.#directory(pool);
        const empty = directory.images.size + directory.volumes.size === 0;
        if (pool.initialize && directory.mounted && directory.poolId === null && empty) directory.poolId = pool.poolId;
      }
      this.#pools = new Map(pools.map((pool) => [pool.poolId, pool]));
      return pools.map((pool) => this.#report(pool));
    });
  }

  report(): Promise<PoolReport[]> {
    return this.#perform('report', () => [...this.#pools.values()].map((pool) => this.#report(pool)));
  }

  importImage(request: ImageImport, call: LongCall): Promise<ImageInfo> {
    return this.#perform(
      'importImage',
      async () => {
        const directory = this.#use(request.poolId);
        const there = this.#findImage(directory, request.imageId);
        if (there !== undefined) return there;
        const content = await this.#content(directory, request, call);
        const info = inspectContent(content, request);
        this.#requireSpace(directory, info.sizeBytes, request.poolId);
        directory.addImage(`${request.imageId}.${info.format}`, { info, content });
        return info;
      },
      call.signal,
    );
  }

  deleteImage({ imageId, poolId, format }: ImageRef): Promise<void> {
    return this.#perform('deleteImage', () => {
      const directory = this.#use(poolId);
      for (const [name, volume] of directory.volumes) {
        if (volume.backingImageId !== imageId || !directory.images.has(`${imageId}.${format}`)) continue;
        throw new KvasirError('in-use', { kind: 'image', name: imageId, by: `volume ${name}` });
      }
      directory.deleteImage(`${imageId}.${format}`);
    });
  }

  openImage({ imageId, poolId, format }: ImageRef): Promise<{ content: Readable; sizeBytes: number }> {
    return this.#perform('openImage', () => {
      const image = this.#use(poolId).images.get(`${imageId}.${format}`);
      if (image === undefined) throw new KvasirError('not-found', { kind: 'image', id: imageId });
      return { content: Readable.from([image.content]), sizeBytes: image.content.length };
    });
  }

  createVolume(request: VolumeCreate, call: LongCall): Promise<{ sizeBytes: number }> {
    return this.#perform(
      'createVolume',
      () => {
        const directory = this.#use(request.poolId);
        const there = directory.volumes.get(fileName(request));
        if (there !== undefined) return { sizeBytes: there.sizeBytes };
        const { from, format, sizeBytes } = request;
        if (from?.mode === 'linked' && format !== 'qcow2') {
          throw new KvasirError('unsupported', { reason: 'A linked clone must be qcow2' });
        }
        const image = from === null ? null : directory.images.get(`${from.imageId}.${from.imageFormat}`);
        if (image === undefined) throw new KvasirError('not-found', { kind: 'image', id: from?.imageId ?? '' });
        if (image !== null && sizeBytes < image.info.virtualSizeBytes) {
          const reason = `a volume of ${sizeBytes} bytes is smaller than its image of ${image.info.virtualSizeBytes}`;
          throw new KvasirError('invalid-request', { reason });
        }
        const allocatedBytes = from?.mode === 'full' ? (image?.info.sizeBytes ?? 0) : metadataBytes;
        this.#requireSpace(directory, allocatedBytes, request.poolId);
        const backingImageId = from?.mode === 'linked' ? from.imageId : null;
        directory.addVolume(fileName(request), { format, sizeBytes, backingImageId, allocatedBytes });
        return { sizeBytes };
      },
      call.signal,
    );
  }

  resizeVolume(volume: VolumeRef, sizeBytes: number): Promise<{ sizeBytes: number }> {
    return this.#perform('resizeVolume', () => {
      const there = this.#requireVolume(volume);
      if (sizeBytes < there.sizeBytes) {
        const reason = `a volume of ${there.sizeBytes} bytes cannot shrink to ${sizeBytes}`;
        throw new KvasirError('invalid-request', { reason });
      }
      there.sizeBytes = sizeBytes;
      return { sizeBytes };
    });
  }

  deleteVolume(volume: VolumeRef): Promise<void> {
    return this.#perform('deleteVolume', () => this.#use(volume.poolId).deleteVolume(fileName(volume)));
  }

  list(poolId: string): Promise<{ volumeIds: string[]; imageIds: string[] }> {
    return this.#perform('list', () => {
      const { volumes, images } = this.#use(poolId);
      return { volumeIds: idsOf(volumes.keys()), imageIds: idsOf(images.keys()) };
    });
  }

  locate(volume: VolumeRef): Promise<DiskSource> {
    return this.#perform('locate', () => {
      this.#requireVolume(volume);
      const path = `${this.#use(volume.poolId).path}/volumes/${fileName(volume)}`;
      return { kind: 'file', path, format: volume.format };
    });
  }

  writeSeed(vmId: string, name: string, cloudInit: CloudInit & { readonly instanceId: string }): Promise<DiskSource> {
    return this.#perform('writeSeed', () => {
      this.#host.seeds.set(vmId, JSON.stringify({ name, ...cloudInit }));
      return { kind: 'file', path: `/seeds/${vmId}.iso`, format: 'raw' };
    });
  }

  removeSeed(vmId: string): Promise<void> {
    return this.#perform('removeSeed', () => void this.#host.seeds.delete(vmId));
  }

  #perform<T>(method: keyof StorageDriver, effect: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#host.faults.perform(
      `storage.${method}`,
      () => {
        this.#host.requirePower();
        if (signal?.aborted === true) throw new KvasirError('cancelled');
        return effect();
      },
      signal,
    );
  }

  #directory(pool: PoolSpec): SimDirectory {
    return this.#host.directory(pool.path, pool.shared);
  }

  #whyUnreachable(pool: PoolSpec): string | null {
    const directory = this.#directory(pool);
    if (this.#host.isStorageCut(pool.path)) return 'it does not answer within 10000 ms';
    if (!directory.mounted || directory.poolId === null) return `${pool.path} has no .kvasir-pool: is it mounted?`;
    return directory.poolId === pool.poolId ? null : `${pool.path} belongs to another pool (${directory.poolId})`;
  }

  #report(pool: PoolSpec): PoolReport {
    const reason = this.#whyUnreachable(pool);
    const { totalMib, freeMib } = this.#directory(pool);
    if (reason !== null) return { poolId: pool.poolId, reachable: false, reason, totalMib: null, freeMib: null };
    return { poolId: pool.poolId, reachable: true, reason: null, totalMib, freeMib };
  }

  #use(poolId: string): SimDirectory {
    const pool = this.#pools.get(poolId);
    if (pool === undefined) throw new KvasirError('not-found', { kind: 'pool', id: poolId });
    const reason = this.#whyUnreachable(pool);
    if (reason === null) return this.#directory(pool);
    throw new KvasirError('pool-unreachable', { poolId, pool: pool.name, reason });
  }

  #findImage(directory: SimDirectory, imageId: string): ImageInfo | undefined {
    return (directory.images.get(`${imageId}.qcow2`) ?? directory.images.get(`${imageId}.raw`))?.info;
  }

  #requireVolume(volume: VolumeRef): SimVolume {
    const there = this.#use(volume.poolId).volumes.get(fileName(volume));
    if (there === undefined) throw new KvasirError('not-found', { kind: 'volume', id: volume.volumeId });
    return there;
  }

  #requireSpace(directory: SimDirectory, bytes: number, poolId: string): void {
    if (directory.freeMib * mib >= bytes) return;
    throw new KvasirError('host-failed', { reason: `pool ${this.#pools.get(poolId)?.name ?? poolId} is full` });
  }

  async #content(directory: SimDirectory, { source }: ImageImport, call: LongCall): Promise<Buffer> {
    if ('content' in source) return readAll(source.content, source.sizeBytes, call);
    if (source.file === '' || source.file.includes('/') || source.file.startsWith('.')) {
      throw new KvasirError('invalid-request', { reason: `"${source.file}" is no plain file name` });
    }
    const content = directory.imports.get(source.file);
    if (content === undefined) throw new KvasirError('not-found', { kind: 'file', id: `import/${source.file}` });
    return content;
  }
}

function fileName(volume: VolumeRef): string {
  return `${volume.volumeId}.${volume.format}`;
}

function idsOf(names: Iterable<string>): string[] {
  return [...names].map((name) => name.slice(0, name.lastIndexOf('.'))).sort();
}
