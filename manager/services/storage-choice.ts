/** Where new volumes go: rules shared by VMs, volumes and images. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { imageCopies, type ImageRow } from '../store/images.ts';
import { type PoolRow, pools } from '../store/pools.ts';
import { imageSource } from '../tasks/working-host.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call } from './call.ts';

/** A pool that a request names. @throws not-found with the field */
export async function referredPool(call: Call, nameOrId: string, field: string): Promise<PoolRow> {
  const row = await pools.find(call.db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt(field, pools.kind, nameOrId);
  return row;
}

/**
 * The pool of a new volume: the one asked for; else one of the cluster that holds the image, else one that it can be copied
 * to; without an image any. Shared pools come first, then by name. @throws invalid-request, unsupported, host-unreachable
 */
export async function choosePool(
  call: Call,
  asked: {
    readonly pool: string | undefined;
    readonly image: ImageRow | undefined;
    readonly clusterId: string;
    readonly field: string;
  },
): Promise<PoolRow> {
  const { image, clusterId, field } = asked;
  const copies = image ? await imageCopies.select(call.db, { imageId: image.id, state: 'ready' }) : [];
  const holding = new Set(copies.map(({ poolId }) => poolId));
  if (asked.pool !== undefined) {
    const pool = await referredPool(call, asked.pool, field);
    if (pool.clusterId !== clusterId) throw invalidField(field, 'is a pool of another cluster');
    if (image && !holding.has(pool.id)) await requireSource(call, image);
    return pool;
  }
  const candidates = await pools.select(call.db, { clusterId }, 'name');
  const first = (able: readonly PoolRow[]) => able.find(({ shared }) => shared) ?? able[0];
  const pool = first(candidates.filter(({ id }) => !image || holding.has(id))) ?? first(candidates);
  if (!pool) throw new KvasirError('unsupported', { reason: 'This cluster has no storage pool' });
  if (image && !holding.has(pool.id)) await requireSource(call, image);
  return pool;
}

/** An image can only be copied while a host that holds it is up. @throws host-unreachable */
export async function requireSource(call: Call, image: ImageRow): Promise<void> {
  if (await imageSource(call.db, image.id)) return;
  throw new KvasirError('host-unreachable', { host: `any that holds image ${image.name}` });
}
