/** Taking hosts out and back into service. The work is a task (`tasks/host-maintenance.ts`). */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostMaintenanceOperations } from '@kvasir/api/resources/host-maintenance.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { openTaskStates, taskIdsByTarget, tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { mayStay } from '../tasks/host-evacuation.ts';
import { openAgain } from '../tasks/host-maintenance.ts';
import { disksOf } from '../tasks/vm-delete-intent.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { announce } from './changes.ts';
import { findHost, hostView } from './hosts.ts';
import { startTask } from './tasks.ts';
import { isoOrNull } from './views.ts';

const parallelMoves = 2;

export const enterMaintenance: ChangeService<typeof hostMaintenanceOperations.enterMaintenance> = async (
  change,
  { params, body },
) => {
  const { tx, env } = change;
  const host = await findHost(change, params.host);
  const refused = (state: string): KvasirError =>
    new KvasirError('wrong-state', { action: 'take out', kind: hosts.kind, name: host.name, state });
  if ((await hostMaintenance.find(tx, { hostId: host.id })) !== undefined) throw refused('in maintenance already');
  const standby = await standbyOf(tx, host.id);
  if (standby !== undefined) throw refused(`in standby (${standby.phase})`);
  if (host.state !== 'up') throw refused(host.state);
  const now = env.clock.now();
  const leaving = (await vms.select(tx, { hostId: host.id })).filter((vm) => vm.state === 'stopped' || !mayStay(vm));
  await hosts.update(tx, host.id, { schedulable: false }, { now });
  const task = await startTask(change, {
    kind: 'host-maintenance',
    params: { hostId: host.id, parallel: body.parallel ?? parallelMoves },
    target: { kind: 'host', id: host.id, name: host.name },
    projectId: null,
  });
  const row = { hostId: host.id, wasSchedulable: host.schedulable, taskId: task.id, since: now };
  await hostMaintenance.insert(tx, { ...row, total: leaving.length });
  return task;
};

export const showMaintenance: ReadService<typeof hostMaintenanceOperations.showMaintenance> = async (
  call,
  { params },
) => {
  const host = await findHost(call, params.host);
  const row = await hostMaintenance.find(call.db, { hostId: host.id });
  if (row === undefined) return { state: 'none', taskId: null, since: null, total: 0, gone: 0, remaining: [] };
  const task = await tasks.find(call.db, { id: row.taskId });
  const remaining = await remainingOn(call, host.id);
  const left = remaining.filter(({ state }) => state === 'stopped' || !mayStay({ state })).length;
  return {
    state: task?.state === 'succeeded' ? 'maintenance' : 'entering',
    taskId: row.taskId,
    since: isoOrNull(row.since),
    total: row.total,
    gone: Math.max(0, row.total - left),
    remaining,
  };
};

export const exitMaintenance: ChangeService<typeof hostMaintenanceOperations.exitMaintenance> = async (
  change,
  { params },
) => {
  const { tx, env } = change;
  const host = await findHost(change, params.host);
  const row = await hostMaintenance.find(tx, { hostId: host.id });
  if (row === undefined) return await hostView(change, host);
  const task = await tasks.find(tx, { id: row.taskId });
  if (task !== undefined && openTaskStates.some((state) => state === task.state)) {
    throw new KvasirError('busy', { kind: hosts.kind, name: host.name, task: task.id });
  }
  const now = env.clock.now();
  await openAgain(tx, host.id, now);
  await setHostHa(tx, host.id, { state: 'running', because: 'an operator took it back into service', since: now });
  const target = { kind: 'host', id: host.id, name: host.name };
  await announce(change, { kind: 'host.maintenance', message: `Host ${host.name} is back in service`, target });
  return await hostView(change, await hosts.get(tx, host.id));
};

async function remainingOn(call: Call, hostId: string) {
  const rows = await vms.select(call.db, { hostId }, 'name');
  const moving = await taskIdsByTarget(
    call.db,
    rows.map(({ id }) => id),
  );
  const remaining = [];
  for (const { id, name, state } of rows) {
    const local = (await disksOf(call.db, id)).some((disk) => disk.hostId !== null);
    const why = local ? 'it is at rest, and a disk of it lies in a local pool of this host' : 'it is at rest';
    const suspended = state === 'suspended' ? 'its memory is saved on this host' : why;
    const reason = mayStay({ state }) && !moving.has(id) ? suspended : null;
    remaining.push({ vmId: id, vmName: name, state, moving: moving.has(id), reason });
  }
  return remaining;
}
