/** Where new volumes go, and which host works on a file: rules shared by VMs, volumes and images. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { imageCopies, type ImageRow } from '../store/images.ts';
import { poolHosts, type PoolRow, pools } from '../store/pools.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call } from './call.ts';

/** A pool that a request names. @throws not-found with the field */
export async function referredPool(call: Call, nameOrId: string, field: string): Promise<PoolRow> {
  const row = await pools.find(call.db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt(field, pools.kind, nameOrId);
  return row;
}

/**
 * The pool of a new volume: the one asked for; else one of the cluster that holds the image (shared pools first, then by
 * name); without an image the first of the cluster in that order. @throws invalid-request, unsupported
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
  const copies = image ? await imageCopies.select(call.db, { imageId: image.id }) : [];
  const holding = new Set(copies.map(({ poolId }) => poolId));
  if (asked.pool !== undefined) {
    const pool = await referredPool(call, asked.pool, field);
    if (pool.clusterId !== clusterId) throw invalidField(field, 'is a pool of another cluster');
    if (image && !holding.has(pool.id)) throw invalidField(field, `does not hold the image ${image.name}`);
    return pool;
  }
  const candidates = (await pools.select(call.db, { clusterId }, 'name')).filter(({ id }) => !image || holding.has(id));
  const pool = candidates.find(({ shared }) => shared) ?? candidates[0];
  if (pool) return pool;
  throw new KvasirError('unsupported', {
    reason: image ? `No pool of this cluster holds the image ${image.name}` : 'This cluster has no storage pool',
  });
}

/** Hosts that are up and reach the pool, by name. */
export async function hostsReaching(db: Executor, poolId: string): Promise<HostRow[]> {
  const reports = await poolHosts.select(db, { poolId, reachable: true });
  return hosts.select(db, { id: reports.map(({ hostId }) => hostId), state: 'up' }, 'name');
}

/**
 * The host that works on a file of this pool: where it lies in a local pool, any that reaches it in a shared one (`prefer`
 * when that one does). @throws host-unreachable
 */
export async function workingHost(
  db: Executor,
  pool: PoolRow,
  hostId: string | null,
  prefer?: string | null,
): Promise<string> {
  const able = await hostsReaching(db, pool.id);
  const only = hostId ?? undefined;
  const found =
    only === undefined ? (able.find(({ id }) => id === prefer) ?? able[0]) : able.find(({ id }) => id === only);
  if (found) return found.id;
  const name = only === undefined ? `any that reaches pool ${pool.name}` : (await hosts.find(db, { id: only }))?.name;
  throw new KvasirError('host-unreachable', { host: name ?? only ?? pool.name });
}
