/** Storage as the agent sees it: pools, images, volumes, seeds. Implementations: `volumes/` (directories, qcow2), `sim/`. */
import type { Readable } from 'node:stream';
import type { PoolReport, PoolSpec } from '@kvasir/api/agent/host.ts';
import type { ImageInfo, VolumeRef } from '@kvasir/api/agent/storage.ts';
import type { CloudInit } from '@kvasir/api/resources/vm.ts';

export type DiskFormat = 'qcow2' | 'raw';

/** How a hypervisor on this host opens a disk. Passed between drivers only. */
export interface DiskSource {
  readonly kind: 'file';
  readonly path: string;
  readonly format: DiskFormat;
}

export interface LongCall {
  readonly signal: AbortSignal;
  readonly progress: (report: {
    readonly percent: number;
    readonly bytesDone: number | null;
    readonly bytesTotal: number | null;
  }) => void;
}

export interface ImageImport {
  readonly imageId: string;
  readonly poolId: string;
  readonly source: { readonly file: string } | { readonly content: Readable; readonly sizeBytes: number };
  readonly maxVirtualSizeBytes: number | null;
  readonly expectedSha256: string | null;
}

export interface VolumeCreate extends VolumeRef {
  readonly sizeBytes: number;
  readonly from: {
    readonly imageId: string;
    readonly imageFormat: DiskFormat;
    readonly mode: 'linked' | 'full';
  } | null;
}

/** Every method is idempotent; errors are `KvasirError`s (`bad-image`, `not-found`, `in-use`, `unsupported`, `invalid-request`). */
export interface StorageDriver {
  /** Serves exactly these pools from now on. */
  applyPools(pools: readonly (PoolSpec & { readonly initialize: boolean })[]): Promise<PoolReport[]>;
  report(): Promise<PoolReport[]>;
  importImage(request: ImageImport, call: LongCall): Promise<ImageInfo>;
  deleteImage(image: { readonly imageId: string; readonly poolId: string; readonly format: DiskFormat }): Promise<void>;
  openImage(image: {
    readonly imageId: string;
    readonly poolId: string;
    readonly format: DiskFormat;
  }): Promise<{ content: Readable; sizeBytes: number }>;
  createVolume(request: VolumeCreate, call: LongCall): Promise<{ sizeBytes: number }>;
  resizeVolume(volume: VolumeRef, sizeBytes: number): Promise<{ sizeBytes: number }>;
  deleteVolume(volume: VolumeRef): Promise<void>;
  list(poolId: string): Promise<{ volumeIds: string[]; imageIds: string[] }>;
  /** Where the volume lies; `not-found` when its file or pool is not there. */
  locate(volume: VolumeRef): Promise<DiskSource>;
  /** Makes the NoCloud seed of a VM (the same content: the same file) and says where it is. */
  writeSeed(vmId: string, name: string, cloudInit: CloudInit & { readonly instanceId: string }): Promise<DiskSource>;
  removeSeed(vmId: string): Promise<void>;
}
