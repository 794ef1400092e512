/** What tasks do when a host is proven dead under them. The test over every kind is in `every-kind.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { Leftovers } from '../controllers/leftovers.ts';
import { systemIds } from '../ids.ts';
import { endProofs } from '../store/fence-proofs.ts';
import { hostLeftovers, noteLeftover } from '../store/host-leftovers.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hosts } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { bootAnew, comeBack, die, dieToItsLeases } from '../testing/host-death.ts';
import { enqueue, lead, runToEnd, taskEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { retryTask } from './retry.ts';

const lost = new KvasirError('host-unreachable', { host: 'h1' });
const create = taskScenarios['vm-create']['and start']!;

forEachDatabase('a host that is proven dead', (open, database) => {
  if (database === 'postgres') return;

  /** From this call on h1 answers nothing, and `dies` happens to it. */
  async function losing(world: TaskWorld, method: string, dies: (world: TaskWorld, hostId: string) => Promise<void>) {
    let gone = false;
    world.hosts.fate = (call) => {
      gone ||= call.method === method;
      return gone && call.hostId === world.h1 ? { kind: 'throw', error: lost, after: false } : { kind: 'work' };
    };
    world.hosts.onCall = async (called) => {
      if (called === method) await dies(world, world.h1);
    };
  }

  const endOf = async (world: TaskWorld, taskId: string) => {
    const task = await runToEnd(world, taskId);
    world.hosts.onCall = async () => {};
    return task;
  };

  test('ends a create, whose volume another host deletes; its definition is cleared when it is back', async () => {
    const world = await TaskWorld.open(await open());
    const taskId = await enqueue(world, await create(world));
    await losing(world, 'vm.start', die);
    const task = await endOf(world, taskId);
    assert.deepEqual([task.state, task.error?.code], ['failed', 'host-dead']);
    const { state, stateReason, hostId } = await vms.get(world.store.db, task.targetId);
    assert.deepEqual([state, hostId], ['failed', null]);
    assert.match(stateReason!, /died meanwhile/);
    assert.equal(world.hosts.sharedVolumes.size, 0);
    assert.equal(world.hosts.host(world.h1).domains.size, 1);
    const noted = await hostLeftovers.select(world.store.db);
    assert.deepEqual(
      noted.map(({ kind, hostId: on, targetId }) => [kind, on, targetId]),
      [['domain', world.h1, task.targetId]],
    );
    await comeBack(world, world.h1);
    assert.equal(world.hosts.host(world.h1).domains.size, 0);
    assert.equal(await hostLeftovers.count(world.store.db, {}), 0);
  });

  test('by its leases alone has its file deleted elsewhere, and looks again itself when it is back', async () => {
    const world = await TaskWorld.open(await open());
    const taskId = await enqueue(world, await create(world));
    await losing(world, 'vm.start', dieToItsLeases);
    assert.equal((await endOf(world, taskId)).error?.code, 'host-dead');
    assert.equal(world.hosts.sharedVolumes.size, 0);
    const kinds = (await hostLeftovers.select(world.store.db, {}, 'kind')).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['domain', 'volume']);
    await comeBack(world, world.h1);
    assert.equal(await hostLeftovers.count(world.store.db, {}), 0);
    await world.assertAtRest();
  });

  test('deletes a volume of its own when it is back, and for all others it is gone at once', async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await taskScenarios['volume-delete']['in a local pool']!(world);
    const taskId = await enqueue(world, scenario);
    const volumeId = scenario.task.target.id;
    const place = world.hosts.host(world.h1);
    assert.ok(place.volumes.has(volumeId));
    await losing(world, 'volume.delete', die);
    const task = await endOf(world, taskId);
    assert.deepEqual([task.state, task.error], ['succeeded', null]);
    assert.equal(await volumes.find(world.store.db, { id: volumeId }), undefined);
    assert.ok(place.volumes.has(volumeId), 'it lies there still');
    await comeBack(world, world.h1);
    assert.equal(place.volumes.has(volumeId), false);
    assert.equal(await hostLeftovers.count(world.store.db, {}), 0);
  });

  test('by leases that are not those of the VM is waited for', async () => {
    const world = await TaskWorld.open(await open());
    const disk = { pool: world.localPool, volumeState: 'creating' } as const;
    const { vm, volume } = await world.addVm({ state: 'creating', hostId: world.h1, ...disk });
    const params = { vmId: vm.id, newVolumeIds: [volume.id], start: true };
    const { task } = await create(world);
    const about = { ...task, params, target: { kind: 'vm', id: vm.id, name: vm.name }, locks: [] };
    const taskId = await enqueue(world, { task: about, check: async () => {} });
    await losing(world, 'vm.start', dieToItsLeases);
    const end = await endOf(world, taskId);
    assert.deepEqual([end.state, end.error?.code], ['parked', 'host-unreachable']);
    assert.ok(world.hosts.host(world.h1).volumes.has(volume.id));
  });

  test('by leases in which the VM may have no disk any more, or not yet, is waited for', async () => {
    for (const kind of ['vm-detach-disk', 'vm-attach-disk'] as const) {
      const world = await TaskWorld.open(await open());
      const { vm } = await world.addVm({ state: 'running', hostId: world.h1, pool: world.localPool });
      const scenario = await taskScenarios[kind][kind === 'vm-attach-disk' ? 'existing' : 'running']!(world);
      const { volumeId } = scenario.task.params as { readonly volumeId: string };
      await world.store.transaction((tx) => vmDisks.set(tx, { volumeId }, { vmId: vm.id, device: 'vdb', position: 1 }));
      const params = { ...scenario.task.params, vmId: vm.id };
      const task = { ...scenario.task, params, target: { kind: 'vm', id: vm.id, name: vm.name } };
      const taskId = await enqueue(world, { ...scenario, task });
      // It was done, and nobody heard of it: the VM runs on with its other disk, of whose lease nothing is known.
      await losing(world, kind === 'vm-attach-disk' ? 'vm.attachDisk' : 'vm.detachDisk', dieToItsLeases);
      const end = await endOf(world, taskId);
      assert.deepEqual([end.state, end.error?.code], ['parked', 'host-unreachable'], kind);
      await world.store.transaction((tx) => endProofs(tx, world.h1, 1));
      await die(world, world.h1);
      await world.store.transaction((tx) => retryTask(tx, taskId));
      assert.notEqual((await endOf(world, taskId)).state, 'parked', kind);
    }
  });

  test('only in its last boot is waited for: it may be at work on what was asked of it since', async () => {
    const world = await TaskWorld.open(await open());
    const taskId = await enqueue(world, await create(world));
    await losing(world, 'vm.start', bootAnew);
    const end = await endOf(world, taskId);
    assert.deepEqual([end.state, end.error?.code], ['parked', 'host-unreachable']);
    assert.equal(await hostLeftovers.count(world.store.db, {}), 0);
  });

  test('ends a call that hangs, which does nothing more when it is let go', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    const taskId = await enqueue(world, await create(world));
    const hanging = Promise.withResolvers<void>();
    world.hosts.onCall = async (method) => {
      if (method !== 'volume.create') return;
      await die(world, world.h1);
      await hanging.promise;
    };
    assert.equal((await endOf(world, taskId)).error?.code, 'host-dead');
    hanging.resolve();
    await new Promise(setImmediate);
    assert.equal(world.hosts.sharedVolumes.size, 0);
  });

  test('has tasks that pause try again at once', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    const taskId = await enqueue(world, await create(world));
    const inAnHour = systemClock.now() + 3_600_000;
    await world.store.transaction((tx) => tasks.set(tx, { id: taskId }, { state: 'running', notBefore: inAnHour }));
    const runner = await lead(world);
    await die(world, world.h1);
    assert.equal((await taskEnd(world, taskId)).error?.code, 'host-dead');
    await runner.stop();
  });

  test('leaves wanted what ran there, whatever was asked of it', async () => {
    for (const kind of ['vm-reset', 'vm-pause', 'vm-suspend'] as const) {
      const world = await TaskWorld.open(await open());
      const scenario = await taskScenarios[kind]['running']!(world);
      const { id } = scenario.task.target;
      const wanted = kind === 'vm-suspend' ? 'suspended' : 'running';
      await world.store.transaction((tx) => vms.set(tx, { id }, { state: 'unknown', desiredState: wanted }));
      await losing(world, kind.replace('-', '.'), die);
      assert.equal((await endOf(world, await enqueue(world, scenario))).error?.code, 'host-dead');
      assert.equal((await vms.get(world.store.db, id)).desiredState, 'running', kind);
    }
  });

  test('ends its evacuation, and takes VMs again when it is back', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    await world.addVm({ state: 'running', hostId: world.h1 });
    const scenario = await taskScenarios['host-maintenance']['empty']!(world);
    const taskId = await enqueue(world, scenario);
    const { store, h1 } = world;
    await store.transaction(async (tx) => {
      await hosts.set(tx, { id: h1 }, { schedulable: false });
      await hostMaintenance.set(tx, { hostId: h1 }, { taskId });
    });
    await losing(world, 'migration.send', die);
    const task = await endOf(world, taskId);
    assert.deepEqual([task.state, task.error?.code], ['failed', 'host-dead']);
    assert.equal((await hosts.get(world.store.db, world.h1)).schedulable, true);
    assert.equal(await hostMaintenance.count(world.store.db, {}), 0);
  });

  test('and is back loses no definition to a clearing that comes late', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    const { store, h2 } = world;
    const scenario = await taskScenarios['vm-restart']['by the word of its host']!(world);
    const vmId = scenario.task.target.id;
    const old = { state: 'stopped', volumes: new Set<string>(), nics: new Set<string>(), incoming: false } as const;
    world.hosts.host(h2).domains.set(vmId, { ...old });
    const place = { hostId: h2, kind: 'domain', targetId: vmId, poolId: null, format: null } as const;
    await store.transaction(async (tx) => {
      await noteLeftover(tx, place, systemIds.uuid(), 1);
      await vms.set(tx, { id: vmId }, { reservedHostId: null });
    });
    const begun = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    let clearing: Promise<unknown> | undefined;
    world.hosts.onCall = async (method) => {
      if (method === 'vm.undefine' && clearing === undefined) {
        begun.resolve();
        await late.promise;
      }
      // Defined by now, and not started yet.
      if (method !== 'vm.start') return;
      late.resolve();
      await clearing;
    };
    const cleared = new Leftovers({ store, clock: systemClock, ids: systemIds, calls: world.hosts }).clear();
    await begun.promise;
    clearing = cleared;
    await store.transaction((tx) => vms.set(tx, { id: vmId }, { reservedHostId: h2 }));
    const task = await endOf(world, await enqueue(world, scenario));
    assert.deepEqual([task.state, task.error], ['succeeded', null]);
    await scenario.check();
    assert.equal(world.hosts.host(h2).domains.get(vmId)?.state, 'running');
    assert.equal(await hostLeftovers.count(store.db, {}), 0);
  });
});
