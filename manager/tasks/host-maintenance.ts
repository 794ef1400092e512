/**
 * Empties a host and takes it out. Each VM moves by a task of its own, a few at once; what has moved stays moved whatever
 * becomes of this task. Undone (cancelled, or because a VM cannot leave) the host takes VMs again; moves that run go to
 * their end.
 *
 * Invariants: the host takes no new VM from the intent on; it is out (and high availability leaves it alone) only once no VM
 * runs on it. VMs at rest that cannot move stay: they lose nothing by it. All that this goes by are rows, so that another
 * manager goes on with it.
 */
import type { Executor, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hosts } from '../store/hosts.ts';
import type { TaskRow } from '../store/tasks.ts';
import { evacuateHost, requireEmpty } from './host-evacuation.ts';
import { defineStep, defineTask } from './kind.ts';

const evacuate = defineStep('host-maintenance', {
  name: 'evacuate',
  run: async (context) => {
    const { db, params, task } = context;
    const rowOf = (ex: Executor) => hostMaintenance.find(ex, { hostId: params.hostId });
    const total = (await rowOf(db))?.total ?? 0;
    await evacuateHost(context, { total, holds: async (tx) => (await rowOf(tx))?.taskId === task.id });
  },
  apply: async ({ tx, params, now, task }) => {
    await requireEmpty(tx, params.hostId);
    const because = 'an operator took it out';
    await setHostHa(tx, params.hostId, { state: 'maintenance', because, since: now });
    await tell(tx, params.hostId, task, now, 'is in maintenance: no VM runs on it');
  },
  undo: async () => {},
});

export const hostMaintenanceTask = defineTask({
  kind: 'host-maintenance',
  cancellable: true,
  steps: [evacuate],
  undone: async ({ tx, params, task, now }, because) => {
    await openAgain(tx, params.hostId, now);
    await tell(tx, params.hostId, task, now, `was not taken out: ${because.message}`);
  },
});

/** The host takes VMs as it did before it was taken out. */
export async function openAgain(tx: Tx, hostId: string, now: number): Promise<void> {
  const row = await hostMaintenance.find(tx, { hostId });
  if (row === undefined) return;
  await hosts.update(tx, hostId, { schedulable: row.wasSchedulable }, { now });
  await hostMaintenance.remove(tx, { hostId });
}

async function tell(tx: Tx, hostId: string, task: TaskRow, at: number, what: string): Promise<void> {
  const { name } = await hosts.get(tx, hostId);
  await appendEvent(tx, {
    at,
    kind: 'host.maintenance',
    message: `Host ${name} ${what}`,
    target: { kind: 'host', id: hostId, name },
    taskId: task.id,
    userId: task.userId,
  });
}
