/**
 * Proofs that hosts are dead, as long as they are. A proof ends in the transaction that takes the host's next word, so whoever
 * finds a valid one in a transaction can rely on it until it commits.
 */
import {
  type FenceProof,
  type FenceProofRecord,
  type ProofKind,
  recordedProof,
} from '@kvasir/control/ha/fence-proof.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface FenceProofRow {
  readonly id: string;
  readonly hostId: string;
  readonly incidentId: string | null;
  readonly bootId: string | null;
  readonly kind: ProofKind;
  readonly at: number;
  readonly poolIds: readonly string[] | null;
  readonly because: string;
  /** When the host came back; null: it is dead. */
  readonly endedAt: number | null;
}

export const fenceProofs = new Table<FenceProofRow>({
  table: 'fenceProofs',
  kind: 'proof',
  columns: {
    id: 'text',
    hostId: 'text',
    incidentId: 'text',
    bootId: 'text',
    kind: 'text',
    at: 'integer',
    poolIds: 'json',
    because: 'text',
    endedAt: 'integer',
  },
});

/**
 * Tasks that pause before they try again do so now: those that miss this host need not wait for it any more. Those that are parked for
 * it are tried anew: what one proof did not cover the next may.
 */
export async function recordProof(
  tx: Tx,
  id: string,
  proof: FenceProof,
  incidentId: string | null,
): Promise<FenceProofRow> {
  const { hostId, bootId, kind, atMs, poolIds, because } = proof;
  const pausing = tx.updateTable('tasks').set({ notBefore: 0 }).where('state', 'in', ['running', 'undoing']);
  await pausing.where('notBefore', '>', 0).execute();
  await tx.updateTable('tasks').set({ revivals: 0 }).where('state', '=', 'parked').where('revivals', '>', 0).execute();
  return await fenceProofs.insert(tx, {
    id,
    hostId,
    incidentId,
    bootId,
    kind,
    at: atMs,
    poolIds,
    because,
    endedAt: null,
  });
}

/** The newest valid proof of each of these hosts. */
export async function validProofs(
  ex: Executor,
  hostId?: readonly string[],
): Promise<ReadonlyMap<string, FenceProofRow>> {
  const rows = await fenceProofs.select(ex, { endedAt: null, ...(hostId ? { hostId } : {}) }, 'at');
  return new Map(rows.map((row) => [row.hostId, row]));
}

export async function validProof(ex: Executor, hostId: string): Promise<FenceProofRow | undefined> {
  return (await validProofs(ex, [hostId])).get(hostId);
}

/** The host speaks: it is not dead (any more). */
export async function endProofs(tx: Tx, hostId: string, now: number): Promise<void> {
  await fenceProofs.set(tx, { hostId, endedAt: null }, { endedAt: now });
}

export function proofOf({ hostId, bootId, kind, at, poolIds, because }: FenceProofRow): FenceProof {
  const record: FenceProofRecord = { hostId, bootId, kind, atMs: at, poolIds, because };
  return recordedProof(record);
}
