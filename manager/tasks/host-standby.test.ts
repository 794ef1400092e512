/** A host is sent to standby: what moves, what stands against it, and that its power is never cut with anything on it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { fenceDevices, unverified } from '../store/fence-devices.ts';
import { haIncidents } from '../store/ha-incidents.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { hostStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import type { TaskRow } from '../store/tasks.ts';
import { firstRevision } from '../store/versioned.ts';
import { vms } from '../store/vms.ts';
import { openSqlite } from '../testing/databases.ts';
import { runToEnd } from '../testing/task-runs.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { enqueueStandby } from './standby-intent.ts';

let opened: Awaited<ReturnType<typeof openSqlite>>;
let world: TaskWorld;
before(async () => {
  opened = await openSqlite();
  world = await TaskWorld.open(opened.store);
  const at = { address: '127.0.0.1', port: 623, userName: 'root', sealedPassword: '', position: 0, systemPath: null };
  const device = { ...firstRevision(systemIds.uuid(), 1), name: 'bmc', kind: 'ipmi', hostId: world.h1 } as const;
  await world.store.transaction((tx) =>
    fenceDevices.insert(tx, { ...device, ...at, certificateFingerprint: null, ...unverified }),
  );
});
after(() => opened.close());
beforeEach(async () => {
  await world.reset();
  world.hosts.fate = () => ({ kind: 'work' });
  world.hosts.onCall = async () => {};
  world.power.lies = false;
  world.power.ignoresButton = false;
  world.power.hangs = null;
  await world.store.transaction(async (tx) => {
    await hostStandby.remove(tx, {});
    await haIncidents.remove(tx, {});
    await hostHa.remove(tx, {});
    for (const id of [world.h1, world.h2]) await hosts.set(tx, { id }, { state: 'up', schedulable: true });
  });
});

async function send(): Promise<TaskRow> {
  const host = await hosts.get(world.store.db, world.h1);
  const order = { byPolicy: false, because: 'the test asks for it', userId: null };
  const seams = { clock: systemClock, ids: systemIds };
  const { id } = await world.store.transaction((tx) => enqueueStandby(tx, seams, host, order));
  return await runToEnd(world, id);
}

async function seen() {
  const { db } = world.store;
  const { state, schedulable } = await hosts.get(db, world.h1);
  const ha = (await hostHa.find(db, { hostId: world.h1 }))?.state ?? 'running';
  return [(await standbyOf(db, world.h1))?.phase ?? 'on', state, ha, schedulable];
}

const on = ['on', 'up', 'running', true];

async function staysOn(because: RegExp): Promise<void> {
  const task = await send();
  assert.equal(task.state, 'failed');
  assert.match(task.error?.message ?? '', because);
  assert.deepEqual(await seen(), on);
  assert.deepEqual(world.hosts.violations, []);
}

test('its VMs go on elsewhere, running and stopped, and it is off', { timeout: 30_000 }, async () => {
  for (const state of ['running', 'running', 'stopped', 'paused'] as const)
    await world.addVm({ state, hostId: world.h1 });
  assert.equal((await send()).state, 'succeeded');
  assert.equal(await vms.count(world.store.db, { hostId: world.h2 }), 4);
  assert.deepEqual(await seen(), ['standby', 'down', 'standby', false]);
  assert.deepEqual(world.hosts.violations, []);
});

test('what cannot leave keeps it on: also what is at rest, for it could not be started', {
  timeout: 30_000,
}, async () => {
  const { vm } = await world.addVm({ state: 'suspended', hostId: world.h1 });
  await staysOn(new RegExp(`${vm.name}: it is suspended`));
});

test('a domain that only its host knows keeps it on', { timeout: 30_000 }, async () => {
  const none = { volumes: new Set<string>(), nics: new Set<string>() };
  world.hosts.host(world.h1).domains.set(systemIds.uuid(), { state: 'running', incoming: false, ...none });
  await staysOn(/its host says that it is running/);
});

test('one that comes up between the two looks keeps it on, too', { timeout: 30_000 }, async () => {
  let lists = 0;
  world.hosts.onCall = async (method) => {
    lists += Number(method === 'vm.list');
    const none = { volumes: new Set<string>(), nics: new Set<string>() };
    if (lists === 2)
      world.hosts.host(world.h1).domains.set(systemIds.uuid(), { state: 'running', incoming: false, ...none });
  };
  const task = await send();
  assert.equal(task.state, 'failed');
  assert.match(task.error?.message ?? '', /its host says that it is running/);
  // Its power may have been cut, as far as the journal knows: it counts as back when it is heard.
  assert.deepEqual(await seen(), ['waking', 'up', 'standby', false]);
  assert.deepEqual(world.hosts.violations, []);
});

async function openIncident(): Promise<void> {
  const { h2: hostId, clusterId } = world;
  const told = { hostName: 'h2', state: 'dead', because: '', alarms: [], openedAt: 1, closedAt: null };
  await world.store.transaction((tx) => haIncidents.insert(tx, { id: systemIds.uuid(), clusterId, hostId, ...told }));
}

test('an incident in its cluster keeps it on', { timeout: 30_000 }, async () => {
  await openIncident();
  await staysOn(/an incident is open/);
});

test('a device that does not answer is found out before anything moves', { timeout: 30_000 }, async () => {
  await world.addVm({ state: 'running', hostId: world.h1 });
  const error = new KvasirError('fencing-failed', { host: 'h1', action: 'read', reason: 'no answer' });
  world.hosts.fate = ({ method }) =>
    method === 'power.state' ? { kind: 'throw', error, after: false } : { kind: 'work' };
  await staysOn(/no answer/);
  assert.equal(await vms.count(world.store.db, { hostId: world.h1 }), 1);
});

test('one that does not shut down when it is asked to has its power cut, and that is told', {
  timeout: 30_000,
}, async () => {
  const told = async (): Promise<boolean> =>
    (await eventsAfter(world.store.db, 0, { limit: 1000 })).some(({ message }) => /did not shut down/.test(message));
  assert.equal((await send()).state, 'succeeded');
  assert.equal(await told(), false);
  await world.store.transaction(async (tx) => {
    await hostStandby.remove(tx, {});
    await hostHa.remove(tx, {});
    await hosts.set(tx, { id: world.h1 }, { state: 'up', schedulable: true });
  });
  world.power.ignoresButton = true;
  assert.equal((await send()).state, 'succeeded');
  assert.equal(await told(), true);
  assert.deepEqual(await seen(), ['standby', 'down', 'standby', false]);
});

test('one that shuts down while an incident is opened is not waited for, and is switched on again', {
  timeout: 30_000,
}, async () => {
  world.power.hangs = openIncident;
  const task = await send();
  assert.equal(task.state, 'failed');
  assert.match(task.error?.message ?? '', /an incident is open/);
  assert.deepEqual(await seen(), ['waking', 'up', 'standby', false]);
});

test('a device that could not switch it off leaves it to be heard again, and that is no incident', {
  timeout: 30_000,
}, async () => {
  const error = new KvasirError('fencing-failed', { host: 'h1', action: 'switched off', reason: 'no' });
  world.hosts.fate = ({ method }) =>
    method === 'power.off' ? { kind: 'throw', error, after: true } : { kind: 'work' };
  assert.equal((await send()).state, 'failed');
  assert.deepEqual(await seen(), ['waking', 'up', 'standby', false]);
  const events = await eventsAfter(world.store.db, 0, { limit: 1000 });
  assert.ok(events.some(({ message }) => /is switched on again: .*no/.test(message)));
});

test('a host that is not well, or already on its way, is refused at once', async () => {
  const refused = (words: RegExp) => assert.rejects(send(), words);
  await world.store.transaction((tx) => setHostHa(tx, world.h1, { state: 'suspect' }));
  await refused(/while it is suspect/);
  await world.store.transaction((tx) => hosts.set(tx, { id: world.h1 }, { state: 'down' }));
  await refused(/while it is down/);
});
