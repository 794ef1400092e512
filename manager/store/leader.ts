/**
 * The leader's lease: one row. The epoch grows with each acquisition and never otherwise, so that whoever carries an older
 * one is known to be deposed.
 */
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface LeaderRow {
  readonly id: string;
  /** Null before the first acquisition and after a release. */
  readonly holder: string | null;
  readonly epoch: number;
  readonly leaseUntil: number;
}

export const leader = new Table<LeaderRow>({
  table: 'leader',
  kind: 'leader',
  columns: { id: 'text', holder: 'text', epoch: 'integer', leaseUntil: 'integer' },
});

const only = 'leader';

/** The new epoch; undefined while somebody else's lease has not run out. */
export async function acquireLeadership(
  tx: Tx,
  ask: {
    readonly holder: string;
    readonly now: number;
    readonly leaseMs: number;
    /** Proof that a holder is dead: its lease is not waited for. */
    readonly isDead?: (holder: string) => boolean;
  },
): Promise<number | undefined> {
  const current = await leader.get(tx, only);
  const held = current.holder !== null && current.holder !== ask.holder && current.leaseUntil > ask.now;
  if (held && ask.isDead?.(current.holder) !== true) return undefined;
  const epoch = current.epoch + 1;
  await leader.set(tx, { id: only }, { holder: ask.holder, epoch, leaseUntil: ask.now + ask.leaseMs });
  return epoch;
}

/** False when the lease was lost to another epoch or ran out. */
export async function renewLeadership(
  tx: Tx,
  ask: { readonly epoch: number; readonly now: number; readonly leaseMs: number },
): Promise<boolean> {
  const current = await leader.get(tx, only);
  if (current.epoch !== ask.epoch || current.holder === null || current.leaseUntil <= ask.now) return false;
  await leader.set(tx, { id: only }, { leaseUntil: ask.now + ask.leaseMs });
  return true;
}

export async function releaseLeadership(tx: Tx, epoch: number): Promise<void> {
  await leader.set(tx, { id: only, epoch }, { holder: null, leaseUntil: 0 });
}

/** The newest epoch given out; 0 before the first. */
export async function currentEpoch(ex: Executor): Promise<number> {
  return (await leader.get(ex, only)).epoch;
}
