import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { acquireLeadership } from '../store/leader.ts';
import { requestCancel, taskIdOf, taskIdsByTarget, taskLocks, tasks, taskSteps } from '../store/tasks.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, lead, runToEnd, taskEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { enqueueTask } from './enqueue.ts';
import { retryTask } from './retry.ts';

const create = taskScenarios['vm-create']['and start']!;
const migrate = taskScenarios['vm-migrate']['on shared storage']!;
const refused = new KvasirError('host-failed', { reason: 'no room' });

forEachDatabase('the task runner', (open) => {
  test('tells of a task by events, steps and its lock', async () => {
    const world = await TaskWorld.open(await open());
    const { db } = world.store;
    const { task } = await create(world);
    const id = await enqueue(world, { task, check: async () => {} });
    assert.equal(await taskIdOf(db, task.target.id), id);
    assert.equal((await taskIdsByTarget(db, [task.target.id, task.locks![0]!.id])).size, 2);
    await runToEnd(world, id);
    assert.equal(await taskIdOf(db, task.target.id), null);
    const steps = await taskSteps.select(db, { taskId: id }, 'position');
    assert.deepEqual(
      steps.map((step) => [step.name, step.state]),
      [
        ['host-awake', 'done'],
        ['image', 'done'],
        ['volumes', 'done'],
        ['define', 'done'],
        ['start', 'done'],
      ],
    );
    assert.deepEqual(
      (await eventsAfter(db, 0)).map((event) => event.kind),
      ['task.created', 'vm.state-changed', 'task.finished'],
    );
  });

  test('parks a task that another version began with other steps', async () => {
    const world = await TaskWorld.open(await open());
    const id = await enqueue(world, await create(world));
    await world.store.transaction((tx) => taskSteps.set(tx, { taskId: id, position: 0 }, { name: 'gone' }));
    const parked = await runToEnd(world, id);
    assert.equal(parked.state, 'parked');
    assert.match(parked.error!.message, /another version/);
    assert.equal((await taskSteps.select(world.store.db, { taskId: id, state: 'waiting' })).length, 5);
  });

  test('leaves tasks of kinds that it does not know to a newer manager, and works on those behind them', async () => {
    const world = await TaskWorld.open(await open());
    const foreign: string[] = [];
    for (let n = 0; n < 3; n += 1) foreign.push(await enqueue(world, await create(world)));
    await world.store.transaction((tx) => tasks.set(tx, { id: foreign }, { kind: 'vm-teleport', createdAt: 1 }));
    const id = await enqueue(world, await create(world));
    const log: string[] = [];
    const runner = await lead(world, (point) => void log.push(point), undefined, { concurrency: 1 });
    assert.equal((await taskEnd(world, id)).state, 'succeeded');
    await runner.stop();
    assert.equal(await tasks.count(world.store.db, { id: foreign, state: 'queued', kind: 'vm-teleport' }), 3);
  });

  test('refuses a second task on a locked target, with the id of the first', async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await create(world);
    const id = await enqueue(world, scenario);
    await assert.rejects(enqueue(world, scenario), (error: unknown) => {
      return error instanceof KvasirError && error.code === 'busy' && error.details['task'] === id;
    });
    assert.equal(await tasks.count(world.store.db), 1);
  });

  test('refuses params of another form', async () => {
    const world = await TaskWorld.open(await open());
    const { task } = await create(world);
    const seams = { clock: systemClock, ids: systemIds };
    const wrong = { ...task, params: { vmId: 'web' } } as typeof task;
    await assert.rejects(
      world.store.transaction((tx) => enqueueTask(tx, seams, wrong)),
      TypeError,
    );
  });

  test('a manager that was deposed writes nothing more', async () => {
    const world = await TaskWorld.open(await open());
    const id = await enqueue(world, await create(world));
    const called = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    world.hosts.onCall = async () => {
      called.resolve();
      await goOn.promise;
    };
    const writes = Promise.withResolvers<void>();
    const old = await lead(world, (point) => {
      if (point === 'before done volumes') writes.resolve();
    });
    await called.promise;
    const take = { holder: 'new', now: systemClock.now(), leaseMs: 1e6, isDead: () => true };
    await world.store.transaction((tx) => acquireLeadership(tx, take));
    const before = await taskSteps.select(world.store.db, { taskId: id });
    goOn.resolve();
    await writes.promise;
    await old.stop();
    assert.deepEqual(await taskSteps.select(world.store.db, { taskId: id }), before);
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
  });

  test('a stop leaves calls running at the host, and the next manager joins them', async () => {
    const world = await TaskWorld.open(await open());
    const id = await enqueue(world, await migrate(world));
    const called = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    world.hosts.onCall = async (method) => {
      if (method !== 'migration.send') return;
      called.resolve();
      await goOn.promise;
    };
    const first = await lead(world);
    await called.promise;
    await first.stop();
    assert.equal((await tasks.get(world.store.db, id)).state, 'running');
    goOn.resolve();
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
    await world.assertAtRest();
  });

  test('a call that is still being made ready when the manager is deposed is not made', async () => {
    const world = await TaskWorld.open(await open());
    const id = await enqueue(world, await create(world));
    const { hosts } = world;
    const ready = hosts.switchReady.bind(hosts);
    const preparing = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    hosts.switchReady = async (...given) => {
      preparing.resolve();
      await goOn.promise;
      await ready(...given);
    };
    const old = await lead(world);
    await preparing.promise;
    await old.stop();
    const asked: string[] = [];
    hosts.onCall = async (method) => void asked.push(method);
    goOn.resolve();
    for (let turns = 0; turns < 50; turns += 1) await systemClock.sleep(1);
    assert.deepEqual(asked, []);
    hosts.onCall = async () => {};
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
    await world.assertAtRest();
  });

  test('a cancel reaches the call that runs', async () => {
    const world = await TaskWorld.open(await open());
    const { store, hosts } = world;
    const id = await enqueue(world, await create(world));
    hosts.onCall = async (method) => {
      if (method === 'vm.define') await store.transaction((tx) => requestCancel(tx, id, systemClock.now()));
    };
    const task = await runToEnd(world, id);
    assert.deepEqual([task.state, task.error?.code], ['cancelled', 'cancelled']);
    assert.equal(await volumes.count(store.db), 0);
    assert.equal(await store.transaction((tx) => requestCancel(tx, id, systemClock.now())), false);
  });

  test('a failed undo parks the task with its locks, visibly, until an operator retries', async () => {
    const world = await TaskWorld.open(await open());
    const { store, hosts } = world;
    const id = await enqueue(world, await create(world));
    hosts.fate = ({ method }) =>
      method === 'vm.define' || method === 'vm.undefine'
        ? { kind: 'throw', error: refused, after: true }
        : { kind: 'work' };
    const parked = await runToEnd(world, id);
    assert.equal(parked.state, 'parked');
    assert.match(parked.error!.message, /define.*no room/);
    assert.equal((await taskLocks.select(store.db)).length, 2);
    assert.deepEqual((await eventsAfter(store.db, 0)).at(-1)!.kind, 'task.parked');
    hosts.fate = () => ({ kind: 'work' });
    await store.transaction((tx) => retryTask(tx, id));
    const task = await runToEnd(world, id);
    assert.deepEqual([task.state, task.error!.code], ['failed', 'host-failed']);
    await assert.rejects(
      store.transaction((tx) => retryTask(tx, id)),
      /failed/,
    );
    await world.assertAtRest();
  });

  test('works on many tasks at once', async () => {
    const world = await TaskWorld.open(await open());
    const ids: string[] = [];
    for (let n = 0; n < 20; n += 1) ids.push(await enqueue(world, await create(world)));
    const runner = await lead(world);
    const ends = await Promise.all(ids.map((id) => taskEnd(world, id)));
    await runner.stop();
    assert.deepEqual(new Set(ends.map((task) => task.state)), new Set(['succeeded']));
    await world.assertAtRest();
  });
});
