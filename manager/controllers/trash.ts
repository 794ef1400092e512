/**
 * Empties the trash: VMs whose time there is over are purged by a task. Decides purely from a snapshot; the application looks
 * again in its own transaction, so a VM that was restored meanwhile stays.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Ids } from '../ids.ts';
import type { Store } from '../store/database.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { enqueueVmDelete } from '../tasks/vm-delete-intent.ts';

export interface TrashSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
}

export type TrashedVm = Pick<VmRow, 'id' | 'state' | 'purgeAt'> & { readonly taskId: string | null };

export interface Purge {
  readonly vmId: string;
  readonly because: string;
}

/** What is to be purged now; nothing that a task works on. */
export function decidePurges(trashed: readonly TrashedVm[], now: number): Purge[] {
  return trashed
    .filter(
      ({ state, purgeAt, taskId }) => state === 'trashed' && taskId === null && purgeAt !== null && purgeAt <= now,
    )
    .map(({ id, purgeAt }) => ({
      vmId: id,
      because: `its time in the trash ended at ${new Date(purgeAt ?? 0).toISOString()}`,
    }));
}

/** Looks once; answers how many purges were started. A VM whose host or pool is away stays for the next look. */
export async function emptyTrash(seams: TrashSeams): Promise<number> {
  const { store, clock } = seams;
  const rows = await vms.select(store.db, { state: 'trashed' });
  const tasks = await taskIdsByTarget(
    store.db,
    rows.map(({ id }) => id),
  );
  const purges = decidePurges(
    rows.map((row) => ({ ...row, taskId: tasks.get(row.id) ?? null })),
    clock.now(),
  );
  let started = 0;
  for (const { vmId } of purges) started += (await purge(seams, vmId)) ? 1 : 0;
  return started;
}

async function purge(seams: TrashSeams, vmId: string): Promise<boolean> {
  try {
    return await seams.store.transaction(async (tx) => {
      const row = await vms.find(tx, { id: vmId });
      if (!row || decidePurges([{ ...row, taskId: null }], seams.clock.now()).length === 0) return false;
      await enqueueVmDelete(tx, seams, row, { purge: true, userId: null });
      return true;
    });
  } catch (error) {
    if (error instanceof KvasirError) return false;
    throw error;
  }
}
