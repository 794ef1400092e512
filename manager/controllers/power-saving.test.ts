/** A cluster saves power as it says: suggested, or done, one host at a time; woken when needed; and what goes wrong on the way. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { PowerSavingPolicy } from '@kvasir/api/resources/power-saving.ts';
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { setClusterPowerSaving } from '../store/cluster-power-saving.ts';
import { clusters } from '../store/clusters.ts';
import { eventsAfter } from '../store/events.ts';
import { fenceDevices, unverified } from '../store/fence-devices.ts';
import { setClusterHa } from '../store/ha-settings.ts';
import { haIncidents, haRestarts } from '../store/ha-incidents.ts';
import { hostHa, setHostHa } from '../store/host-ha.ts';
import { hostStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { tasks } from '../store/tasks.ts';
import { firstRevision } from '../store/versioned.ts';
import { vms } from '../store/vms.ts';
import { openSqlite } from '../testing/databases.ts';
import { lead, taskEnd } from '../testing/task-runs.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { CapacityWishes } from '../tasks/capacity-wishes.ts';
import { noRoom } from '../tasks/power-saving-world.ts';
import { requestsFor } from '../tasks/ha-placement.ts';
import { savePowerOnce } from './power-saving.ts';

const quick: Partial<PowerSavingPolicy> = {
  mode: 'automatic',
  minHostsOn: 1,
  idleAfterMs: 10_000,
  wakeTimeoutMs: 60_000,
};

/** Two hosts of 1000 MiB with power devices, VMs of 100 MiB on the first. */
async function open(test: TestContext, vmCount: number) {
  const opened = await openSqlite();
  const world = await TaskWorld.open(opened.store);
  const { store, h1, h2, clusterId, power } = world;
  await store.transaction(async (tx) => {
    await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
    for (const hostId of [h1, h2]) {
      await hosts.set(tx, { id: hostId }, { memoryMib: 1000, cpus: 64 });
      const at = {
        address: '127.0.0.1',
        port: 623,
        userName: 'root',
        sealedPassword: '',
        position: 0,
        systemPath: null,
      };
      const device = { ...firstRevision(systemIds.uuid(), 1), name: `bmc-${hostId}`, kind: 'ipmi', hostId } as const;
      await fenceDevices.insert(tx, { ...device, ...at, certificateFingerprint: null, ...unverified });
    }
  });
  for (let n = 0; n < vmCount; n += 1)
    await world.addVm({ state: 'running', hostId: h1, changes: { memoryMib: 100, cpuModel: 'host' } });
  // Tasks run on the real one; this is ahead of it by what the test let pass.
  let aheadMs = 0;
  const clock: Clock = { after: systemClock.after, sleep: systemClock.sleep, now: () => systemClock.now() + aheadMs };
  const runner = await lead(world);
  test.after(async () => {
    await runner.stop();
    await opened.close();
    assert.deepEqual(world.hosts.violations, []);
  });
  const epoch = await currentEpoch(store.db);
  const heard = new Map<string, number>();
  const wishes = new CapacityWishes();
  const signals = { lastHeartbeatMs: (id: string) => heard.get(id) };
  const seams = { store, clock, ids: systemIds, signals, power, wishes, epoch: () => epoch };
  const over = async () => {
    for (const { id } of await tasks.select(store.db)) await taskEnd(world, id);
  };
  return {
    ...{ world, store, clock, heard, wishes, h1, h2, clusterId, power, over },
    round: async (ms = 0) => {
      aheadMs += ms;
      await savePowerOnce(seams);
      await over();
    },
    set: (policy: Partial<PowerSavingPolicy>) =>
      store.transaction((tx) => setClusterPowerSaving(tx, clusterId, { policy, told: '' })),
    seen: async (hostId: string) => {
      const { state, schedulable } = await hosts.get(store.db, hostId);
      const ha = (await hostHa.find(store.db, { hostId }))?.state ?? 'running';
      return [(await standbyOf(store.db, hostId))?.phase ?? 'on', state, ha, schedulable];
    },
    kinds: async () => (await eventsAfter(store.db, 0, { limit: 1000 })).map(({ kind }) => kind),
  };
}

const on = ['on', 'up', 'running', true];
const asleep = ['standby', 'down', 'standby', false];

test('off: nothing; suggested: an event, once; automatic: an empty host goes, and it is quiet', {
  timeout: 60_000,
}, async (context) => {
  const at = await open(context, 3);
  await at.round(60_000);
  await at.set({ ...quick, mode: 'suggested' });
  for (const ms of [0, 5000]) await at.round(ms);
  assert.ok(!(await at.kinds()).includes('power-saving.suggested'), 'its time has not come');
  for (const ms of [6000, 3000]) await at.round(ms);
  assert.equal((await at.kinds()).filter((kind) => kind === 'power-saving.suggested').length, 1);
  assert.deepEqual(await at.seen(at.h2), on);
  await at.set(quick);
  await at.round(3000);
  assert.deepEqual([await at.seen(at.h1), await at.seen(at.h2)], [on, asleep]);
  for (let n = 0; n < 5; n += 1) await at.round(20_000);
  assert.equal(await tasks.count(at.store.db), 1);
});

test('VMs move away first; a promise to failed hosts keeps both on', { timeout: 60_000 }, async (context) => {
  const at = await open(context, 2);
  await at.world.addVm({ state: 'running', hostId: at.h2, changes: { memoryMib: 100, cpuModel: 'host' } });
  await at.set(quick);
  await at.store.transaction((tx) => setClusterHa(tx, at.clusterId, { policy: { admission: 'enforce' } }));
  for (const ms of [0, 20_000, 20_000]) await at.round(ms);
  assert.deepEqual([await at.seen(at.h1), await at.seen(at.h2)], [on, on]);
  await at.store.transaction((tx) => setClusterHa(tx, at.clusterId, { policy: { admission: 'off' } }));
  for (const ms of [0, 20_000]) await at.round(ms);
  assert.deepEqual([await at.seen(at.h1), await at.seen(at.h2)], [on, asleep]);
  assert.equal(await vms.count(at.store.db, { hostId: at.h1, state: 'running' }), 3);
});

test('a request without room wakes a host, and one that does not come up is told of and left alone', {
  timeout: 60_000,
}, async (context) => {
  const at = await open(context, 3);
  await at.set(quick);
  for (const ms of [0, 20_000]) await at.round(ms);
  const [vm] = await vms.select(at.store.db);
  const [{ request } = assert.fail()] = await requestsFor(at.store.db, [vm!.id]);
  const wish = () =>
    at.wishes.note(at.clusterId, { name: 'big', request: { ...request, vmId: 'big', memoryMib: 900 } });
  at.power.boots = false;
  await at.set({ wakeTimeoutMs: 0 });
  wish();
  await at.round(3000);
  assert.deepEqual(await at.seen(at.h2), ['failed', 'down', 'standby', false]);
  assert.ok((await at.kinds()).includes('host.wake-failed'));
  at.power.boots = true;
  wish();
  await at.round(3000);
  assert.equal((await at.seen(at.h2))[0], 'failed');
  wish();
  await at.round(700_000);
  assert.deepEqual(await at.seen(at.h2), on);
});

test('a host that somebody switched on is a host like any other; what was heard before it went off is no sign', {
  timeout: 60_000,
}, async (context) => {
  const at = await open(context, 1);
  await at.set(quick);
  for (const ms of [0, 20_000]) await at.round(ms);
  at.heard.set(at.h2, (await standbyOf(at.store.db, at.h2))!.since);
  await at.store.transaction((tx) => hosts.set(tx, { id: at.h2 }, { state: 'up' }));
  await at.round();
  assert.equal((await at.seen(at.h2))[0], 'standby');
  at.heard.set(at.h2, at.clock.now() + 10_000);
  await at.round();
  assert.deepEqual(await at.seen(at.h2), on);
});

test('power saving that is turned off wakes what it switched off; no device, no standby', {
  timeout: 60_000,
}, async (context) => {
  const at = await open(context, 1);
  await at.set(quick);
  for (const ms of [0, 20_000]) await at.round(ms);
  await at.set({ mode: 'off' });
  await at.round(3000);
  assert.deepEqual(await at.seen(at.h2), on);
  await at.store.transaction((tx) => fenceDevices.remove(tx, { hostId: at.h2 }));
  await at.set({ mode: 'automatic', evacuate: false });
  for (const ms of [0, 20_000, 20_000]) await at.round(ms);
  assert.deepEqual([await at.seen(at.h1), await at.seen(at.h2)], [on, on]);
});

test('a VM of a failed host without room wakes a host in every mode, also one that an operator sent to standby', {
  timeout: 60_000,
}, async (context) => {
  const at = await open(context, 1);
  const { store, h1, h2, clusterId } = at;
  const [vm] = await vms.select(store.db);
  await store.transaction(async (tx) => {
    const row = { wasSchedulable: true, byPolicy: false, because: 'an operator', taskId: systemIds.uuid(), since: 1 };
    await hostStandby.insert(tx, { ...row, hostId: h2, phase: 'standby' });
    await hosts.set(tx, { id: h2 }, { state: 'down', schedulable: false });
    await setHostHa(tx, h2, { state: 'standby' });
    await hosts.set(tx, { id: h1 }, { state: 'down' });
  });
  await at.round(3000);
  assert.equal((await at.seen(h2))[0], 'standby', 'nothing needs it');
  await store.transaction(async (tx) => {
    const incidentId = systemIds.uuid();
    const told = { hostName: 'h1', state: 'fenced', because: '', alarms: [], openedAt: 1, closedAt: null };
    await haIncidents.insert(tx, { id: incidentId, clusterId, hostId: h1, ...told });
    const waits = { state: 'waiting', reason: `${noRoom}: h1: is down`, toHostId: null, taskId: null } as const;
    const times = { attempts: 0, notBefore: 0, since: 1, createdAt: 1, endedAt: null, hadGuestAgent: false };
    await haRestarts.insert(tx, { id: systemIds.uuid(), vmId: vm!.id, incidentId, fromHostId: h1, ...waits, ...times });
  });
  await at.round(3000);
  assert.deepEqual(await at.seen(h2), on);
});
