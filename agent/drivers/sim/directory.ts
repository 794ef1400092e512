/** A simulated pool directory: marker, images, volumes and the operator's files. Content of images is kept, of volumes not. */
import type { ImageInfo } from '@kvasir/api/agent/storage.ts';
import type { LeaseRecord } from '../../lease/record.ts';
import type { DiskFormat } from '../storage.ts';

export interface SimImage {
  readonly info: ImageInfo;
  readonly content: Buffer;
}

export interface SimVolume {
  readonly format: DiskFormat;
  sizeBytes: number;
  /** Image that a linked clone stands on. */
  readonly backingImageId: string | null;
  /** What it takes of the directory. */
  readonly allocatedBytes: number;
}

const mib = 1024 * 1024;

export class SimDirectory {
  readonly path: string;
  /** False: the mount is missing. */
  mounted = true;
  totalMib = 1024 * 1024;
  poolId: string | null = null;
  /** What stands in the slots of `.kvasir-lease`. */
  readonly leases = new Map<number, LeaseRecord>();
  /** Files in `import/`. */
  readonly imports = new Map<string, Buffer>();
  readonly #images = new Map<string, SimImage>();
  readonly #volumes = new Map<string, SimVolume>();
  #usedBytes = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** By file name. */
  get images(): ReadonlyMap<string, SimImage> {
    return this.#images;
  }
  get volumes(): ReadonlyMap<string, SimVolume> {
    return this.#volumes;
  }
  get freeMib(): number {
    return Math.max(0, Math.floor(this.totalMib - this.#usedBytes / mib));
  }

  addImage(name: string, image: SimImage): void {
    this.deleteImage(name);
    this.#images.set(name, image);
    this.#usedBytes += image.info.sizeBytes;
  }
  deleteImage(name: string): void {
    this.#usedBytes -= this.#images.get(name)?.info.sizeBytes ?? 0;
    this.#images.delete(name);
  }
  addVolume(name: string, volume: SimVolume): void {
    this.deleteVolume(name);
    this.#volumes.set(name, volume);
    this.#usedBytes += volume.allocatedBytes;
  }
  deleteVolume(name: string): void {
    this.#usedBytes -= this.#volumes.get(name)?.allocatedBytes ?? 0;
    this.#volumes.delete(name);
  }
}
