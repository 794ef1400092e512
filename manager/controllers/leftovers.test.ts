/** What is left of VMs that were restarted elsewhere goes away when their old host is back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import { taskLocks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import type { FakeDomainState } from '../testing/fake-hosts.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { enqueue } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { Leftovers } from './leftovers.ts';

forEachDatabase('leftovers', (open) => {
  /** A VM that belongs to h2, with a domain in this state still on h1. */
  async function leftOn(state: FakeDomainState) {
    const world = await TaskWorld.open(await open());
    const { h1, h2, store } = world;
    const { vm } = await world.addVm({ state: 'running', hostId: h2 });
    const domain = { state, volumes: new Set<string>(), nics: new Set<string>(), incoming: false };
    world.hosts.host(h1).domains.set(vm.id, domain);
    const seen = { hostId: h1, domainId: vm.id, name: vm.name, state, managed: true, vmId: vm.id, seenAt: 1 };
    await store.transaction((tx) => hostDomains.insert(tx, seen));
    const clock = new ManualClock();
    const leftovers = new Leftovers({ store, clock, ids: systemIds, calls: world.hosts });
    const isThere = () => world.hosts.host(h1).domains.has(vm.id);
    return { world, store, vm, leftovers, clock, isThere };
  }

  test('that are stopped are undefined, on a host that is up and while no task works on the VM', async () => {
    const { world, store, vm, leftovers, isThere } = await leftOn('stopped');
    await store.transaction((tx) => hosts.set(tx, { id: world.h1 }, { state: 'down' }));
    assert.equal(await leftovers.clear(), 0);
    await store.transaction((tx) => hosts.set(tx, { id: world.h1 }, { state: 'up' }));
    const taskId = await enqueue(world, await Object.values(taskScenarios['vm-stop'])[0]!(world));
    await store.transaction((tx) => taskLocks.insert(tx, { targetId: vm.id, targetKind: 'vm', taskId }));
    assert.equal(await leftovers.clear(), 0);
    await store.transaction((tx) => taskLocks.remove(tx, { targetId: vm.id }));
    await store.transaction((tx) => vms.set(tx, { id: vm.id }, { reservedHostId: world.h1 }));
    assert.equal(await leftovers.clear(), 0, 'it is on its way there');
    await store.transaction((tx) => vms.set(tx, { id: vm.id }, { reservedHostId: null }));
    assert.ok(isThere());
    assert.equal(await leftovers.clear(), 1);
    assert.ok(!isThere());
    assert.ok(world.hosts.host(world.h2).domains.has(vm.id));
  });

  test('that run are left alone with an alarm, once an hour', async () => {
    const { store, leftovers, clock, isThere } = await leftOn('running');
    const alarms = async () =>
      (await eventsAfter(store.db, 0)).filter(({ kind }) => kind === 'ha.runs-elsewhere').length;
    await leftovers.clear();
    await leftovers.clear();
    assert.deepEqual([await alarms(), isThere()], [1, true]);
    clock.advance(3_600_000);
    await leftovers.clear();
    assert.equal(await alarms(), 2);
  });
});
