/** Power saving through the API: what is shown and why, what is refused, and that a refused request is known to those who wake hosts. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { fenceDeviceOperations } from '@kvasir/api/resources/fence-device.ts';
import { hostMaintenanceOperations } from '@kvasir/api/resources/host-maintenance.ts';
import { hostStandbyOperations } from '@kvasir/api/resources/host-standby.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { powerSavingOperations } from '@kvasir/api/resources/power-saving.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { clusters } from '../store/clusters.ts';
import { hostPowerChecks, hostStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { openSqlite } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './testing/api-world.ts';
import { defaultClusterId, insertHost, insertVm } from './testing/inventory.ts';

let world: ApiWorld;
let opened: Awaited<ReturnType<typeof openSqlite>>;
let clusterId: string;
let vmId: string;
const ids: string[] = [];
const params = { cluster: 'default' };
const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
const show = () => admin().call(powerSavingOperations.showPowerSaving, { params });
const set = (body: { mode?: 'off' | 'suggested' | 'automatic'; minHostsOn?: number; keepFreePercent?: number }) =>
  admin().call(powerSavingOperations.updatePowerSaving, { params, body });
const code = (wanted: string) => (error: KvasirError) => error.code === wanted;

before(async () => {
  opened = await openSqlite();
  world = await openApiWorld(opened.store);
  await world.store.transaction(async (tx) => {
    clusterId = await defaultClusterId(tx);
    await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
    for (const name of ['h1', 'h2', 'h3'])
      ids.push((await insertHost(tx, clusterId, name, { memoryMib: 1000, cpus: 8 })).id);
    const { id } = await insertProject(tx, world, 'shop');
    const trashed = { state: 'trashed', hostId: null, trashedAt: 1, purgeAt: Date.now() + 60_000 } as const;
    const on = { hostId: ids[0]!, cpus: 1, memoryMib: 200, cpuModel: 'host' };
    await insertVm(tx, id, 'web', clusterId, { ...on, state: 'running', desiredState: 'running' });
    vmId = (await insertVm(tx, id, 'big', clusterId, { ...on, ...trashed, memoryMib: 950 })).id;
  });
  for (const host of ['h1', 'h3']) {
    const device = { name: `${host}-bmc`, host, kind: 'ipmi', address: '192.0.2.7' } as const;
    await admin().call(fenceDeviceOperations.create, { body: { ...device, userName: 'admin', password: 'secret' } });
  }
  await world.store.transaction(async (tx) => {
    for (const hostId of ids) await hostPowerChecks.insert(tx, { hostId, at: Date.now(), error: null });
  });
});
after(async () => {
  await world.close();
  await opened.close();
});

it('is off at first; then it says which host could go, and why the others stay', async () => {
  assert.deepEqual([(await show()).mode, (await show()).actions], ['off', []]);
  const shown = await set({ mode: 'suggested', minHostsOn: 2 });
  assert.deepEqual(
    shown.hosts.map(({ name, power, memory }) => [name, power, memory]),
    [
      ['h1', 'on', 0.2],
      ['h2', 'on', 0],
      ['h3', 'on', 0],
    ],
  );
  assert.deepEqual(shown.hosts.map(({ stays }) => stays)[1], 'it has no power device');
  const [action] = shown.actions;
  assert.deepEqual([shown.actions.length, action?.action, action?.hostName, action?.vms], [1, 'standby', 'h3', 0]);
  assert.match(action!.because, /^h3 carries no VM; without it 90 % of memory/);
});

it('a policy that would swing is refused, and changes nothing', async () => {
  await assert.rejects(set({ keepFreePercent: 10 }), code('invalid-request'));
  assert.equal((await show()).keepFreePercent, 30);
});

it('what is suggested is done at once when asked for, and the host is closed from then on', async () => {
  const apply = (host?: string) =>
    admin().call(powerSavingOperations.applyPowerSaving, { params, body: host === undefined ? {} : { host } });
  await assert.rejects(apply('h1'), code('host-needed'));
  const { tasks } = await apply('h3');
  assert.deepEqual([tasks.length, tasks[0]?.kind, tasks[0]?.target.name], [1, 'host-standby', 'h3']);
  assert.deepEqual((await show()).hosts.find(({ name }) => name === 'h3')?.power, 'entering');
  const host = { params: { host: 'h3' } };
  assert.equal((await admin().call(hostOperations.get, host)).schedulable, false);
  const refusals = [
    admin().call(hostOperations.update, { ...host, body: { schedulable: true } }),
    admin().call(hostMaintenanceOperations.enterMaintenance, { ...host, body: {} }),
    admin().call(hostStandbyOperations.standby, { ...host, body: {} }),
    admin().call(hostStandbyOperations.wake, host),
    admin().call(hostStandbyOperations.wake, { params: { host: 'h1' } }),
  ];
  await Promise.all(refusals.map((refused) => assert.rejects(refused, code('wrong-state'))));
  await assert.rejects(
    admin().call(hostStandbyOperations.standby, { params: { host: 'h2' }, body: {} }),
    code('host-needed'),
  );
  assert.equal((await standbyOf(world.store.db, ids[2]!))?.wasSchedulable, true);
});

it('a VM that is taken back and finds no room is refused, and known to those who wake hosts', async () => {
  await world.store.transaction((tx) => hosts.set(tx, { id: ids[1]! }, { schedulable: false }));
  assert.deepEqual(world.env.wishes.take(clusterId), []);
  const restore = admin().call(vmOperations.restore, { params: { vm: vmId }, query: { project: 'shop' } });
  await assert.rejects(restore, code('no-host-fits'));
  const wished = world.env.wishes.take(clusterId);
  assert.deepEqual(
    wished.map(({ request }) => request.memoryMib),
    [950],
  );
  assert.deepEqual(world.env.wishes.take(clusterId), []);
});

it('a create that only a host in standby could take is refused with what to do about it', async () => {
  await world.store.transaction(async (tx) => {
    for (const id of ids) await hosts.set(tx, { id }, { schedulable: false });
    await hosts.set(tx, { id: ids[2]! }, { state: 'down' });
    await taskLocks.remove(tx, { targetId: ids[2]! });
    await hostStandby.set(tx, { hostId: ids[2]! }, { phase: 'standby' });
  });
  const body = { name: 'waiting', memoryMib: 600 };
  const create = (token: string) =>
    createClient({ baseUrl: world.baseUrl, token }).call(vmOperations.create, { query: { project: 'shop' }, body });
  await assert.rejects(create(world.tokens['system-admin']), /h3 is in standby and has room: kvasir host wake h3$/);
  await assert.rejects(create(world.tokens.member), (error: KvasirError) => {
    assert.match(error.message, /a host that is switched off to save power has room: ask an operator to wake one$/);
    return !/h3/.test(error.message);
  });
  assert.equal((await standbyOf(world.store.db, ids[2]!))?.phase, 'standby');
});

it('in a cluster that saves power by itself it is accepted, wakes that host and says why it waits', async () => {
  await set({ mode: 'automatic' });
  world.env.wishes.take(clusterId);
  const create = (name: string, memoryMib: number) =>
    admin().call(vmOperations.create, { query: { project: 'shop' }, body: { name, memoryMib } });
  const task = await create('waiting', 600);
  const vm = await admin().call(vmOperations.get, { params: { vm: task.target.id } });
  assert.deepEqual([vm.hostName, vm.state], ['h3', 'creating']);
  assert.match(vm.stateReason ?? '', /^waits for a host that is being woken/);
  const wakes = () => tasks.select(world.store.db, { kind: 'host-wake' });
  assert.deepEqual([(await standbyOf(world.store.db, ids[2]!))?.phase, (await wakes()).length], ['waking', 1]);
  const { items } = await admin().call(eventOperations.list, { query: { target: vm.id } });
  assert.ok(items.some(({ kind, taskId }) => kind === 'vm.waits-for-host' && taskId === task.id));
  // The next one waits for the same host, until that is full.
  const other = await create('waiting-too', 400);
  assert.equal((await admin().call(vmOperations.get, { params: { vm: other.target.id } })).hostName, 'h3');
  await assert.rejects(create('too-much', 100), code('no-host-fits'));
  assert.equal((await wakes()).length, 1);
});
