/** Which host works on a file, and which one holds an image: rules that intents and steps share. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { imageCopies } from '../store/images.ts';
import { poolHosts, type PoolRow, pools } from '../store/pools.ts';

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

export interface ImageSource {
  readonly poolId: string;
  readonly hostId: string;
}

/** Where an image can be read from now: by `near` itself if it can, else in a shared pool, else anywhere; undefined: nowhere. */
export async function imageSource(db: Executor, imageId: string, near?: string): Promise<ImageSource | undefined> {
  const copies = await imageCopies.select(db, { imageId, state: 'ready' });
  const reachable: { readonly source: ImageSource; readonly rank: number }[] = [];
  for (const copy of copies) {
    const { shared } = await pools.get(db, copy.poolId);
    for (const { id } of await hostsReaching(db, copy.poolId)) {
      if (copy.hostId !== null && copy.hostId !== id) continue;
      reachable.push({ source: { poolId: copy.poolId, hostId: id }, rank: id === near ? 0 : shared ? 1 : 2 });
    }
  }
  return reachable.toSorted((one, other) => one.rank - other.rank)[0]?.source;
}
