/**
 * What lies on a host and is to go: definitions, and files of its local pools. Noted by tasks that were taken back without a host
 * that is proven dead, and by the clearing itself before it asks the host.
 *
 * Invariant: as long as the row is there the host may still be told to clear it, so nothing is made under that id on that host
 * before the row has been worked off (`tasks/leftover-clearing.ts`).
 */
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface HostLeftoverRow {
  /** Names the call too: however often it is sent, the host does it once. */
  readonly id: string;
  readonly hostId: string;
  readonly kind: 'domain' | 'volume' | 'image';
  /** Id of the VM, the volume or the image. */
  readonly targetId: string;
  /** Null for a domain, and so is the format. */
  readonly poolId: string | null;
  readonly format: 'qcow2' | 'raw' | null;
  readonly since: number;
}

export type LeftoverPlace = Omit<HostLeftoverRow, 'id' | 'since'>;

export const hostLeftovers = new Table<HostLeftoverRow>({
  table: 'hostLeftovers',
  kind: 'leftover',
  columns: {
    id: 'text',
    hostId: 'text',
    kind: 'text',
    targetId: 'text',
    poolId: 'text',
    format: 'text',
    since: 'integer',
  },
});

/** Once: what is noted already keeps its id. */
export async function noteLeftover(tx: Tx, place: LeftoverPlace, id: string, now: number): Promise<void> {
  if ((await hostLeftovers.find(tx, place)) !== undefined) return;
  await hostLeftovers.insert(tx, { ...place, id, since: now });
}

export async function leftoversOn(
  ex: Executor,
  hostId: string,
  targetIds: readonly string[],
): Promise<HostLeftoverRow[]> {
  return targetIds.length === 0 ? [] : await hostLeftovers.select(ex, { hostId, targetId: [...targetIds] });
}
