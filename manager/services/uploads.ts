/**
 * Uploads under way: who may write to one, and what happens when the last byte is there. Finishing is idempotent, so it may
 * be tried again after a crash between the last byte and the task.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Tx } from '../store/database.ts';
import { images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { projects } from '../store/projects.ts';
import { type UploadRow, uploads } from '../store/uploads.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { workingHost } from '../tasks/working-host.ts';
import { isId, roleIn } from './access.ts';
import type { Actor, Environment } from './call.ts';
import { storageLeftBytes } from './images.ts';

/** The upload, for a member of its project, while its image waits for content. @throws unauthenticated, not-found, forbidden */
export async function uploadOf(env: Environment, actor: Actor | undefined, id: string): Promise<UploadRow> {
  if (!actor) throw new KvasirError('unauthenticated');
  const missing = new KvasirError('not-found', { kind: uploads.kind, id });
  const row = isId(id) ? await uploads.find(env.store.db, { id }) : undefined;
  const role = row && roleIn(actor, await projects.get(env.store.db, row.projectId));
  if (!row || !role || row.expiresAt <= env.clock.now()) throw missing;
  if (role === 'viewer') throw new KvasirError('forbidden', { operation: 'image.upload' });
  return row;
}

/** All bytes are there: the import begins. Does nothing when it has begun already. @throws host-unreachable */
export async function finishUpload(env: Environment, id: string): Promise<void> {
  const row = await uploads.find(env.store.db, { id });
  if (!row || (await env.spool.size(id)) !== row.sizeBytes) return;
  await env.spool.sync(id);
  await env.store.transaction((tx) => startImport(tx, env, id));
}

async function startImport(tx: Tx, env: Environment, id: string): Promise<void> {
  const row = await uploads.find(tx, { id });
  const image = row && (await images.get(tx, row.imageId));
  if (!row || image?.state !== 'uploading') return;
  const now = env.clock.now();
  const hostId = await workingHost(tx, await pools.get(tx, row.poolId), null);
  await uploads.set(tx, { id }, { receivedBytes: row.sizeBytes, updatedAt: now });
  await images.update(tx, image.id, { state: 'importing' }, { now });
  await enqueueTask(tx, env, {
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
export async function tidyUploads(env: Environment): Promise<number> {
  const known = await uploads.select(env.store.db);
  for (const row of known) await finishUpload(env, row.id).catch(() => {});
  const now = env.clock.now();
  const expired = known.filter(({ expiresAt }) => expiresAt <= now);
  let removed = 0;
  for (const { imageId } of expired) {
    removed += await env.store.transaction((tx) => images.remove(tx, { id: imageId, state: 'uploading' }));
  }
  const ids = new Set((await uploads.select(env.store.db)).map(({ id }) => id));
  for (const id of await env.spool.list()) if (!ids.has(id)) await env.spool.remove(id);
  return removed;
}
