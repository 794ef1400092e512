/** Calls that several kinds make to have a volume's file made. */
import { type VolumeRef, volumeCreate as createCall } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { images } from '../store/images.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import type { StepContext } from './kind.ts';

export const bytesPerMib = 1024 * 1024;

export function volumeRef(volume: VolumeRow): VolumeRef {
  return { poolId: volume.poolId, volumeId: volume.id, format: volume.format };
}

/** Makes the file as the volume's row says: empty, or from its image. `part` as in `StepContext.call`. */
export async function createVolumeFile<P>(
  { db, call }: StepContext<P>,
  hostId: string,
  volumeId: string,
  part?: string,
): Promise<void> {
  const volume = await volumes.get(db, volumeId);
  const from = volume.imageId === null ? null : await imageSource(db, volume.imageId, volume.linked);
  await call(hostId, createCall, { ...volumeRef(volume), sizeBytes: volume.sizeMib * bytesPerMib, from }, part);
}

async function imageSource(db: Parameters<typeof images.get>[0], imageId: string, linked: boolean) {
  const image = await images.get(db, imageId);
  if (image.format === null) {
    throw new KvasirError('wrong-state', { action: 'clone', kind: 'image', name: image.name, state: image.state });
  }
  return { imageId, imageFormat: image.format, mode: linked ? ('linked' as const) : ('full' as const) };
}
