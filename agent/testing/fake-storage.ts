/** Pools, volumes and images in memory; a pool is out of reach when a test says so. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { ImageInfo, VolumeRef } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { ImageImport, LongCall, StorageDriver } from '../drivers/storage.ts';

export class FakeStorage implements StorageDriver {
  pools: readonly { readonly poolId: string; readonly initialize: boolean }[] = [];
  readonly volumes = new Set<string>();
  readonly seeds = new Set<string>();
  readonly images = new Map<string, Buffer>();
  imports = 0;
  reachable = true;

  async applyPools(pools: readonly { readonly poolId: string; readonly initialize: boolean }[]): Promise<PoolReport[]> {
    this.pools = pools;
    return this.report();
  }

  async report(): Promise<PoolReport[]> {
    const { reachable } = this;
    const reason = reachable ? null : 'not mounted';
    return this.pools.map(({ poolId }) => ({ poolId, reachable, reason, totalMib: 1000, freeMib: 500 }));
  }

  async importImage({ imageId, source }: ImageImport, _call: LongCall): Promise<ImageInfo> {
    this.imports += 1;
    const content = 'content' in source ? await buffer(source.content) : Buffer.from(source.file);
    this.images.set(imageId, content);
    const size = content.byteLength;
    return { format: 'raw', virtualSizeBytes: size, sizeBytes: size, sha256: 'ab'.repeat(32) };
  }

  async deleteImage({ imageId }: { readonly imageId: string }): Promise<void> {
    this.images.delete(imageId);
  }

  async openImage({ imageId }: { readonly imageId: string }) {
    const content = this.images.get(imageId);
    if (content === undefined) throw new KvasirError('not-found', { kind: 'image', id: imageId });
    return { content: Readable.from([content]), sizeBytes: content.byteLength };
  }

  async createVolume({ volumeId, sizeBytes }: VolumeRef & { readonly sizeBytes: number }) {
    this.volumes.add(volumeId);
    return { sizeBytes };
  }

  async resizeVolume(_volume: VolumeRef, sizeBytes: number) {
    return { sizeBytes };
  }

  async deleteVolume({ volumeId }: VolumeRef): Promise<void> {
    this.volumes.delete(volumeId);
  }

  async list() {
    return { volumeIds: [...this.volumes], imageIds: [...this.images.keys()] };
  }

  async locate({ volumeId, format }: VolumeRef) {
    if (!this.volumes.has(volumeId)) throw new KvasirError('not-found', { kind: 'volume', id: volumeId });
    return { kind: 'file' as const, path: `/volumes/${volumeId}`, format };
  }

  async writeSeed(vmId: string) {
    this.seeds.add(vmId);
    return { kind: 'file' as const, path: `/seeds/${vmId}`, format: 'raw' as const };
  }

  async removeSeed(vmId: string): Promise<void> {
    this.seeds.delete(vmId);
  }
}
