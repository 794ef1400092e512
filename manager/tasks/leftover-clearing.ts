/**
 * Has a host clear what was noted about it. Whoever makes something on a host works off first what is noted there under the same id:
 * a call to clear that is still under way could otherwise arrive behind what was made.
 */
import { imageDelete, volumeDelete } from '@kvasir/api/agent/storage.ts';
import { vmUndefine } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Ids } from '../ids.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import {
  type HostLeftoverRow,
  hostLeftovers,
  type LeftoverPlace,
  leftoversOn,
  noteLeftover,
} from '../store/host-leftovers.ts';
import type { HostCalls } from './kind.ts';

export interface LeavingSeams {
  readonly store: Store;
  readonly ids: Ids;
  readonly clock: Clock;
}

export interface ClearingSeams {
  readonly store: Store;
  readonly calls: Pick<HostCalls, 'call'>;
}

/** The host is dead: it clears these when it is back. */
export async function leaveBehind(
  { store, ids, clock }: LeavingSeams,
  places: readonly LeftoverPlace[],
): Promise<void> {
  if (places.length === 0) return;
  await store.transaction(async (tx) => {
    for (const place of places) await noteLeftover(tx, place, ids.uuid(), clock.now());
  });
}

export function fileOn(
  hostId: string,
  file: { readonly poolId: string; readonly volumeId: string; readonly format: 'qcow2' | 'raw' },
): LeftoverPlace {
  return { hostId, kind: 'volume', targetId: file.volumeId, poolId: file.poolId, format: file.format };
}

/** Whether the host cleared it. @throws KvasirError: it is still to be cleared */
export async function clearLeftover({ store, calls }: ClearingSeams, row: HostLeftoverRow): Promise<boolean> {
  let cleared = true;
  try {
    await ask(calls, row);
  } catch (error) {
    if (!(error instanceof KvasirError) || !nothingToClear[row.kind].includes(error.code)) throw error;
    cleared = false;
  }
  await store.transaction((tx) => hostLeftovers.remove(tx, { id: row.id }));
  return cleared;
}

/** What a host answers that has nothing to clear: a VM that runs there is somebody's; a pool may be gone. */
const nothingToClear: Readonly<Record<HostLeftoverRow['kind'], readonly string[]>> = {
  domain: ['wrong-state', 'not-found'],
  volume: ['not-found'],
  image: ['not-found'],
};

/** Before something is made on a host. @throws KvasirError as a call does */
export async function clearWayFor(seams: ClearingSeams, hostId: string, targetIds: readonly string[]): Promise<void> {
  for (const row of await leftoversOn(seams.store.db, hostId, targetIds)) await clearLeftover(seams, row);
}

async function ask(calls: ClearingSeams['calls'], row: HostLeftoverRow): Promise<void> {
  const { hostId, kind, targetId, poolId, format } = row;
  const options = { key: `leftover/${row.id}` };
  if (kind === 'domain') await calls.call(hostId, vmUndefine, { vmId: targetId }, options);
  if (poolId === null || format === null) return;
  if (kind === 'volume') await calls.call(hostId, volumeDelete, { poolId, volumeId: targetId, format }, options);
  if (kind === 'image') await calls.call(hostId, imageDelete, { poolId, imageId: targetId, format }, options);
}
