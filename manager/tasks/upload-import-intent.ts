/**
 * What becomes of uploads: their import begins when the last byte is there, and those that nobody finishes are thrown away.
 * All of it may be repeated, so it is tried again after a crash between the last byte and the task.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Store, Tx } from '../store/database.ts';
import { images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { projects } from '../store/projects.ts';
import { uploads } from '../store/uploads.ts';
import { storageLeftBytes } from '../store/usage.ts';
import { enqueueTask } from './enqueue.ts';
import type { UploadSpool } from './kind.ts';
import { workingHost } from './working-host.ts';

/** Uploads as files, also while they are arriving. */
export interface ArrivingUploads extends UploadSpool {
  /** Bytes that have arrived; 0 when nothing has. */
  size(uploadId: string): Promise<number>;
  /** Until the content is on the disk and not only in its cache. */
  sync(uploadId: string): Promise<void>;
  /** Ids of all uploads with a file. */
  list(): Promise<string[]>;
}

export interface UploadSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly spool: ArrivingUploads;
}

/** All bytes are there: the import begins. Does nothing when it has begun already. @throws host-unreachable */
export async function importUpload(seams: UploadSeams, id: string): Promise<void> {
  const row = await uploads.find(seams.store.db, { id });
  if (!row || (await seams.spool.size(id)) !== row.sizeBytes) return;
  await seams.spool.sync(id);
  await seams.store.transaction((tx) => startImport(tx, seams, id));
}

async function startImport(tx: Tx, seams: UploadSeams, id: string): Promise<void> {
  const row = await uploads.find(tx, { id });
  const image = row && (await images.get(tx, row.imageId));
  if (!row || image?.state !== 'uploading') return;
  const now = seams.clock.now();
  const hostId = await workingHost(tx, await pools.get(tx, row.poolId), null);
  await uploads.set(tx, { id }, { receivedBytes: row.sizeBytes, updatedAt: now });
  await images.update(tx, image.id, { state: 'importing' }, { now });
  await enqueueTask(tx, seams, {
    kind: 'image-import',
    params: {
      imageId: image.id,
      poolId: row.poolId,
      hostId,
      source: { uploadId: id },
      maxVirtualSizeBytes: await storageLeftBytes(tx, await projects.get(tx, row.projectId)),
      expectedSha256: row.sha256,
    },
    target: { kind: 'image', id: image.id, name: image.name },
    projectId: row.projectId,
    userId: row.userId,
  });
}

/** At start, and now and then: what a crash or a client left behind. Answers how many were thrown away. */
export async function tidyUploads(seams: UploadSeams): Promise<number> {
  const known = await uploads.select(seams.store.db);
  for (const row of known) await importUpload(seams, row.id).catch(() => {});
  const now = seams.clock.now();
  const expired = known.filter(({ expiresAt }) => expiresAt <= now);
  let removed = 0;
  for (const { imageId } of expired) {
    removed += await seams.store.transaction((tx) => images.remove(tx, { id: imageId, state: 'uploading' }));
  }
  // Files first: an upload that begins meanwhile has its row before its file.
  const files = await seams.spool.list();
  const ids = new Set((await uploads.select(seams.store.db)).map(({ id }) => id));
  for (const id of files) if (!ids.has(id)) await seams.spool.remove(id);
  return removed;
}
