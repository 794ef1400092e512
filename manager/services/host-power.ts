/** A host's power on an operator's word. Its devices are tried in their order; the first that does it counts. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostPowerOperations } from '@kvasir/api/resources/fence-device.ts';
import type { Executor } from '../store/database.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { hosts, type HostRow } from '../store/hosts.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { byAnyDevice, type PowerDone } from '../tasks/host-power.ts';
import { openTasks, worksOn } from '../tasks/power-saving-world.ts';
import type { Change, OpenService } from './call.ts';
import { announce } from './changes.ts';
import { findHost } from './hosts.ts';
import { iso } from './views.ts';

export function powerView({ device, reading }: PowerDone) {
  return { device: device.name, state: reading.state, confirmedAt: iso(reading.confirmedAtMs) };
}

export const showHostPower: OpenService<typeof hostPowerOperations.show> = async (call, { params }) => {
  const host = await findHost(call, params.host);
  return powerView(await byAnyDevice(call.db, host, 'read', (id) => call.env.power.powerState(id)));
};

export const switchHostOn: OpenService<typeof hostPowerOperations.on> = async (call, { params }) => {
  const host = await findHost(call, params.host);
  const done = powerView(await byAnyDevice(call.db, host, 'switched on', (id) => call.env.power.powerOn(id)));
  const message = `Host ${host.name} was switched on by ${done.device}`;
  await call.change((change) => note(change, host, 'host.powered-on', message));
  return done;
};

export const switchHostOff: OpenService<typeof hostPowerOperations.off> = async (call, { params, body }) => {
  const host = await findHost(call, params.host);
  await call.change(async (change) => {
    const by = body.force === true ? undefined : await useOf(change.tx, host.id);
    if (by !== undefined) throw new KvasirError('in-use', { kind: hosts.kind, name: host.name, by });
    await note(change, host, 'host.powering-off', `Host ${host.name} is being switched off on an operator's word`);
  });
  const done = powerView(await byAnyDevice(call.db, host, 'switched off', (id) => call.env.power.powerOff(id)));
  await call.change(async (change) => {
    // Should the host be heard on, its device controls another machine: it is asked again at once.
    await fenceDevices.set(change.tx, { hostId: host.id }, { checkedAt: null });
    const message = `Host ${host.name} was switched off by ${done.device}, which confirmed it`;
    await note(change, host, 'host.powered-off', message);
  });
  return done;
};

/** What would be lost with its power; undefined: nothing. VMs at rest stay as they are. */
async function useOf(db: Executor, hostId: string): Promise<string | undefined> {
  const running = await vms.count(db, { hostId, state: ['running', 'paused', 'unknown'] });
  if (running > 0) return `${running} VM(s) that run there`;
  const made = await vms.count(db, { hostId, state: 'creating' });
  const coming = (await vms.count(db, { reservedHostId: hostId })) + made;
  if (coming > 0) return `${coming} VM(s) on their way there`;
  const there = await vms.select(db, { hostId });
  const locked = await taskIdsByTarget(
    db,
    there.map(({ id }) => id),
  );
  if (locked.size > 0) return `${locked.size} VM(s) that a task works on there`;
  const task = worksOn(await openTasks(db), hostId);
  return task && `the task ${task.kind} of ${task.targetName}`;
}

async function note(change: Change, host: HostRow, kind: string, message: string): Promise<void> {
  await announce(change, {
    kind,
    severity: 'warning',
    message,
    target: { kind: 'host', id: host.id, name: host.name },
  });
}
