/** Which host deletes a volume: one that can, or one that is proven dead and will when it is back. */
import type { Executor } from '../store/database.ts';
import { pools } from '../store/pools.ts';
import type { VolumeRow } from '../store/volumes.ts';
import { proofFor } from './proven-dead.ts';
import { workingHost } from './working-host.ts';

/** @throws host-unreachable */
export async function deletingHost(
  db: Executor,
  { poolId, hostId }: Pick<VolumeRow, 'poolId' | 'hostId'>,
  prefer?: string | null,
): Promise<string> {
  if (hostId !== null && (await proofFor(db, hostId, { poolId })) !== undefined) return hostId;
  return await workingHost(db, await pools.get(db, poolId), hostId, prefer);
}
