/**
 * A host that is proven dead is neither asked nor waited for: what ran there does not, and what lies there is cleared when it is back.
 * Every call of a task goes by this (`step-context.ts`); the kinds that choose their way by it ask for themselves.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { covers } from '@kvasir/control/ha/fence-proof.ts';
import type { Executor } from '../store/database.ts';
import { type FenceProofRow, proofOf, validProof } from '../store/fence-proofs.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { loadVm } from './vm-spec.ts';

/** What a call is about: a proof by lease says nothing of other VMs and pools. */
export interface Concern {
  readonly vmId?: string | undefined;
  readonly poolId?: string | undefined;
  /** A disk of the VM that comes or goes just now: nobody knows whether the VM ran with it. */
  readonly unsureVolumeId?: string | undefined;
}

/**
 * The proof that the host is dead. That it was booted anew proves nothing here: it is about to be back, and may be at work again on
 * what was asked of it since.
 */
export async function deathOf(db: Executor, hostId: string): Promise<FenceProofRow | undefined> {
  const row = await validProof(db, hostId);
  return row?.kind === 'rebooted' ? undefined : row;
}

/** The proof that it is dead as far as this is concerned. */
export async function proofFor(db: Executor, hostId: string, concern: Concern): Promise<FenceProofRow | undefined> {
  const row = await deathOf(db, hostId);
  return row !== undefined && (await isAbout(db, row, concern)) ? row : undefined;
}

/** Whether what ran there before does not run any more: also when the host was booted anew. */
export async function isDeadFor(db: Executor, vmId: string, hostId: string): Promise<boolean> {
  const row = await validProof(db, hostId);
  return row !== undefined && (await isAbout(db, row, { vmId }));
}

async function isAbout(db: Executor, row: FenceProofRow, { vmId, poolId, unsureVolumeId }: Concern): Promise<boolean> {
  if (row.poolIds === null) return true;
  const pools = poolId === undefined ? [] : [poolId];
  if (vmId !== undefined && (await vms.find(db, { id: vmId })) !== undefined)
    pools.push(...(await poolsOf(db, vmId, unsureVolumeId)));
  return covers(proofOf(row), pools);
}

/** @throws KvasirError host-dead */
export async function requireLivingHost(db: Executor, hostId: string, concern: Concern): Promise<void> {
  const proof = await proofFor(db, hostId, concern);
  if (proof !== undefined) throw await hostDead(db, proof);
}

/** Without the evidence, which is for operators and stands in the incident's timeline. */
export async function hostDead(db: Executor, { hostId }: FenceProofRow): Promise<KvasirError> {
  const host = (await hosts.find(db, { id: hostId }))?.name ?? hostId;
  return new KvasirError('host-dead', { host, hostId });
}

export async function poolsOf(db: Executor, vmId: string, withoutVolumeId?: string): Promise<string[]> {
  const { disks } = await loadVm(db, vmId);
  return disks.flatMap(({ volume }) => (volume.id === withoutVolumeId ? [] : volume.poolId));
}
