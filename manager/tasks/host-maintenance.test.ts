/** A host is emptied: what leaves, what stays, what stands against it, and how it is opened again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { hostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hosts } from '../store/hosts.ts';
import { requestCancel, type TaskRow } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { runToEnd, taskEnd, lead } from '../testing/task-runs.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { enqueueTask } from './enqueue.ts';

forEachDatabase('maintenance of a host', (open, database) => {
  if (database === 'postgres') return;
  let ready: Promise<TaskWorld> | undefined;
  async function world(): Promise<TaskWorld> {
    ready ??= open().then((store) => TaskWorld.open(store));
    const opened = await ready;
    opened.hosts.fate = () => ({ kind: 'work' });
    await opened.reset();
    await opened.store.transaction(async (tx) => {
      await hostMaintenance.remove(tx, { hostId: opened.h1 });
      await hosts.set(tx, { id: opened.h1 }, { schedulable: true });
      await hosts.set(tx, { id: opened.h2 }, { schedulable: true, memoryMib: 65_536, cpus: 64 });
      for (const hostId of [opened.h1, opened.h2]) await hostHa.remove(tx, { hostId });
    });
    return opened;
  }

  async function enter({ store, h1 }: TaskWorld, total: number): Promise<string> {
    return await store.transaction(async (tx) => {
      await hosts.set(tx, { id: h1 }, { schedulable: false });
      const params = { hostId: h1, parallel: 2 };
      const seams = { clock: systemClock, ids: systemIds };
      const target = { kind: 'host', id: h1, name: 'h1' };
      const task = { kind: 'host-maintenance', params, target, projectId: null, userId: null } as const;
      const { id } = await enqueueTask(tx, seams, task);
      await hostMaintenance.insert(tx, { hostId: h1, wasSchedulable: true, taskId: id, since: 1, total });
      return id;
    });
  }

  async function hostIs({ store, h1 }: TaskWorld, state: string, schedulable: boolean): Promise<void> {
    const seen = [
      (await hostHa.find(store.db, { hostId: h1 }))?.state ?? 'running',
      (await hosts.get(store.db, h1)).schedulable,
    ];
    assert.deepEqual(seen, [state, schedulable]);
  }

  const hostOf = async ({ store }: TaskWorld, id: string) => (await vms.get(store.db, id)).hostId;

  test('moves VMs of an affinity group, and keeps them together', { timeout: 20_000 }, async () => {
    const at = await world();
    const { h1, h2 } = at;
    const group = [];
    for (const _ of [1, 2, 3])
      group.push((await at.addVm({ state: 'running', hostId: h1, changes: { affinity: ['near'] } })).vm.id);
    const runner = await lead(at);
    const end = await taskEnd(at, await enter(at, group.length));
    await runner.stop();
    assert.deepEqual([end.state, end.error], ['succeeded', null]);
    for (const id of group) assert.equal(await hostOf(at, id), h2);
  });

  test('moves what runs, rehomes what is stopped, leaves what rests on its own disk', { timeout: 20_000 }, async () => {
    const at = await world();
    const { h1, h2, localPool } = at;
    const moving = [];
    for (let n = 0; n < 5; n += 1) moving.push((await at.addVm({ state: 'running', hostId: h1 })).vm);
    const paused = (await at.addVm({ state: 'paused', hostId: h1 })).vm;
    const stopped = (await at.addVm({ state: 'stopped', hostId: h1 })).vm;
    const settled = (await at.addVm({ state: 'stopped', hostId: h1, pool: localPool })).vm;
    const suspended = (await at.addVm({ state: 'suspended', hostId: h1 })).vm;
    const task = await runToEnd(at, await enter(at, 7));
    assert.deepEqual([task.state, task.error], ['succeeded', null]);
    for (const { id } of [...moving, paused, stopped]) assert.equal(await hostOf(at, id), h2);
    for (const { id } of [settled, suspended]) assert.equal(await hostOf(at, id), h1);
    await hostIs(at, 'maintenance', false);
    assert.deepEqual(at.hosts.violations, []);
  });

  test('that a VM cannot leave is said, and the host is open again', { timeout: 20_000 }, async () => {
    const at = await world();
    const { vm } = await at.addVm({ state: 'running', hostId: at.h1, changes: { memoryMib: 512 } });
    await at.store.transaction((tx) => hosts.set(tx, { id: at.h2 }, { memoryMib: 600 }));
    const task = await runToEnd(at, await enter(at, 1));
    assert.equal(task.state, 'failed');
    assert.equal(task.error?.code, 'host-not-empty');
    assert.match(
      task.error.message,
      new RegExp(`1 VM\\(s\\) could not leave host "h\\d+": ${vm.name}: h\\d+: .* MiB free of 512 asked`),
    );
    await hostIs(at, 'running', true);
    assert.equal(await hostOf(at, vm.id), at.h1);
  });

  test('a move that fails is tried again', { timeout: 20_000 }, async () => {
    const at = await world();
    const { vm } = await at.addVm({ state: 'running', hostId: at.h1 });
    let failed = false;
    at.hosts.fate = ({ method }) => {
      if (method !== 'migration.send' || failed) return { kind: 'work' };
      failed = true;
      return { kind: 'throw', error: new KvasirError('host-failed', { reason: 'no' }), after: false };
    };
    const task = await runToEnd(at, await enter(at, 1));
    assert.deepEqual([task.state, failed], ['succeeded', true]);
    assert.equal(await hostOf(at, vm.id), at.h2);
  });

  test('cancelled, the rest stays and the host is open again', { timeout: 20_000 }, async () => {
    const at = await world();
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push((await at.addVm({ state: 'running', hostId: at.h1 })).vm.id);
    const taskId = await enter(at, 4);
    at.hosts.onCall = async (method) => {
      if (method === 'migration.send') await at.store.transaction((tx) => requestCancel(tx, taskId, 1));
    };
    const runner = await lead(at);
    let task: TaskRow;
    try {
      task = await taskEnd(at, taskId);
    } finally {
      at.hosts.onCall = async () => {};
      await runner.stop();
    }
    assert.equal(task.state, 'cancelled');
    await hostIs(at, 'running', true);
    const stayed = await Promise.all(ids.map(async (id) => (await hostOf(at, id)) === at.h1));
    assert.ok(stayed.filter(Boolean).length >= 2, 'no more than those that were under way have left');
  });
});
