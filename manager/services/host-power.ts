/** A host's power on an operator's word. Its devices are tried in their order; the first that does it counts. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostPowerOperations } from '@kvasir/api/resources/fence-device.ts';
import { appendEvent } from '../store/events.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { hosts, type HostRow } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { byAnyDevice, type PowerDone } from '../tasks/host-power.ts';
import type { OpenCall, OpenService } from './call.ts';
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
  await note(call, host, 'host.powered-on', `Host ${host.name} was switched on by ${done.device}`);
  return done;
};

export const switchHostOff: OpenService<typeof hostPowerOperations.off> = async (call, { params, body }) => {
  const host = await findHost(call, params.host);
  const there = await vms.select(call.db, { hostId: host.id, state: ['running', 'paused', 'unknown'] });
  if (there.length > 0 && body.force !== true) {
    throw new KvasirError('in-use', { kind: hosts.kind, name: host.name, by: `${there.length} VM(s) that run there` });
  }
  await note(call, host, 'host.powering-off', `Host ${host.name} is being switched off on an operator's word`);
  const done = powerView(await byAnyDevice(call.db, host, 'switched off', (id) => call.env.power.powerOff(id)));
  // Should the host be heard on, its device controls another machine: it is asked again at once.
  await call.change(({ tx }) => fenceDevices.set(tx, { hostId: host.id }, { checkedAt: null }));
  await note(
    call,
    host,
    'host.powered-off',
    `Host ${host.name} was switched off by ${done.device}, which confirmed it`,
  );
  return done;
};

async function note(call: OpenCall, host: HostRow, kind: string, message: string): Promise<void> {
  await call.change(async ({ tx, env, actor }) => {
    const target = { kind: 'host', id: host.id, name: host.name };
    const userId = actor?.userId ?? null;
    await appendEvent(tx, { at: env.clock.now(), kind, severity: 'warning', message, target, userId });
  });
}
