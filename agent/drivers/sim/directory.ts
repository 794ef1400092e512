/** A simulated pool directory: marker, images, volumes and the operator's files. Content of images is kept, of volumes not. */
import type { ImageInfo } from '@kvasir/api/agent/storage.ts';
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
  allocatedBytes: number;
}

const mib = 1024 * 1024;

export class SimDirectory {
  readonly path: string;
  /** False: the mount is missing. */
  mounted = true;
  totalMib = 1024 * 1024;
  poolId: string | null = null;
  readonly images = new Map<string, SimImage>();
  readonly volumes = new Map<string, SimVolume>();
  /** Files in `import/`. */
  readonly imports = new Map<string, Buffer>();

  constructor(path: string) {
    this.path = path;
  }

  get freeMib(): number {
    let used = 0;
    for (const { info } of this.images.values()) used += info.sizeBytes;
    for (const { allocatedBytes } of this.volumes.values()) used += allocatedBytes;
    return Math.max(0, Math.floor(this.totalMib - used / mib));
  }
}
