/** A host that is proven dead is neither asked nor waited for: what ran there does not, and what lies there is cleared when it is back. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { covers } from '@kvasir/control/ha/fence-proof.ts';
import type { Executor } from '../store/database.ts';
import { proofOf, validProof } from '../store/fence-proofs.ts';
import { loadVm } from './vm-spec.ts';

/** The host is proven dead, as far as this VM is concerned. */
export async function isDeadFor(db: Executor, vmId: string, hostId: string): Promise<boolean> {
  const row = await validProof(db, hostId);
  return row !== undefined && covers(proofOf(row), await poolsOf(db, vmId));
}

/** What its host was asked for is not waited for when that is dead. @throws KvasirError host-failed */
export async function requireLivingHost(db: Executor, vmId: string, hostId: string): Promise<void> {
  if (!(await isDeadFor(db, vmId, hostId))) return;
  throw new KvasirError('host-failed', { reason: 'the host of the VM is proven dead' });
}

export async function poolsOf(db: Executor, vmId: string): Promise<string[]> {
  return (await loadVm(db, vmId)).disks.map(({ volume }) => volume.poolId);
}
