/**
 * A planted bug: with every restart of a VM comes a second one on another host, and nothing holds them apart: neither the lock on
 * the VM nor the look at whom it belongs to.
 */
import type { Store, Tx } from '@kvasir/manager/store/database.ts';
import { hosts } from '@kvasir/manager/store/hosts.ts';
import { type TaskRow, tasks, taskSteps } from '@kvasir/manager/store/tasks.ts';
import { vms } from '@kvasir/manager/store/vms.ts';

type Restart = TaskRow & {
  readonly params: { readonly vmId: string; readonly fromHostId: string; readonly toHostId: string };
};

export function twinRestarts(real: Store): Store {
  const seen = new Set<string>();
  return {
    kind: real.kind,
    db: real.db,
    onCommit: (listener) => real.onCommit(listener),
    close: () => real.close(),
    transaction: (work) =>
      real.transaction(async (tx) => {
        await forgetOwners(tx);
        const result = await work(tx);
        for (const task of await openRestarts(tx)) {
          if (seen.has(task.id)) continue;
          seen.add(task.id);
          const twin = await twinOf(tx, task);
          if (twin !== undefined) seen.add(twin);
        }
        return result;
      }),
  };
}

async function openRestarts(tx: Tx): Promise<Restart[]> {
  return (await tasks.select(tx, { kind: 'vm-restart', state: ['queued', 'running'] })) as Restart[];
}

/** Until the second one has claimed the VM too, it belongs to where it was. */
async function forgetOwners(tx: Tx): Promise<void> {
  for (const { id, params } of await openRestarts(tx)) {
    const claim = await taskSteps.find(tx, { taskId: id, name: 'claim' });
    if (claim?.state !== 'done') await vms.set(tx, { id: params.vmId }, { hostId: params.fromHostId });
  }
}

async function twinOf(tx: Tx, task: Restart): Promise<string | undefined> {
  const { fromHostId, toHostId } = task.params;
  const other = (await hosts.select(tx, { state: 'up' }, 'name')).find(
    ({ id }) => id !== fromHostId && id !== toHostId,
  );
  if (other === undefined) return undefined;
  const id = `${task.id.slice(0, -4)}${task.id.endsWith('0000') ? '1111' : '0000'}`;
  await tasks.insert(tx, { ...task, id, params: { ...task.params, toHostId: other.id } });
  for (const step of await taskSteps.select(tx, { taskId: task.id })) {
    await taskSteps.insert(tx, { ...step, taskId: id, state: 'waiting', startedAt: null });
  }
  return id;
}
