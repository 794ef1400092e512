/**
 * Empties the trash: VMs whose time there is over are purged by a task. Decides purely from a snapshot; the application looks
 * again in its own transaction, so a VM that was restored meanwhile stays.
 */
import { allOperations } from '@kvasir/api/contract.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Change, Environment } from '../services/call.ts';
import { startDelete } from '../services/vm-delete.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';

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
export async function emptyTrash(env: Environment): Promise<number> {
  const { store, clock } = env;
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
  for (const { vmId } of purges) started += (await purge(env, vmId)) ? 1 : 0;
  return started;
}

async function purge(env: Environment, vmId: string): Promise<boolean> {
  try {
    return await env.store.transaction(async (tx) => {
      const row = await vms.find(tx, { id: vmId });
      if (!row || decidePurges([{ ...row, taskId: null }], env.clock.now()).length === 0) return false;
      await startDelete(asManager(env, tx), row, true);
      return true;
    });
  } catch (error) {
    if (error instanceof KvasirError) return false;
    throw error;
  }
}

const deleteOperation = allOperations.find(({ id }) => id === 'vm.delete')!;

/** A change that nobody asked for but the manager itself. */
function asManager(env: Environment, tx: Change['tx']): Change {
  return {
    env,
    op: deleteOperation,
    actor: undefined,
    sourceAddress: 'manager',
    ifMatch: undefined,
    scope: { checked: true, projectId: null, user: undefined },
    db: tx,
    tx,
    reauthenticate: async () => undefined,
  };
}
