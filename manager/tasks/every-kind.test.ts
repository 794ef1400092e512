/** What every kind of task must stand: crashes around each write of its journal, repeated steps, failures, lost answers, cancels. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { events } from '../store/events.ts';
import { requestCancel, type TaskRow } from '../store/tasks.ts';
import { forEachDatabase, type OpenStore } from '../testing/databases.ts';
import type { Fate } from '../testing/fake-hosts.ts';
import { comeBack, die } from '../testing/host-death.ts';
import { enqueue, runToCrash, runToEnd, unknownErrors } from '../testing/task-runs.ts';
import type { Scenario } from '../testing/scenarios/scenario.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { taskKinds } from './kinds.ts';
import type { TaskKindName } from './params.ts';
import { retryTask } from './retry.ts';

const refused = new KvasirError('host-failed', { reason: 'the test says no' });
const lost = new KvasirError('host-unreachable', { host: 'h1' });

/** The second failure of a `refused` is that of the undo. */
const failures = [
  { error: refused, times: 1, after: false },
  { error: refused, times: 1, after: true },
  { error: refused, times: 2, after: true },
  { error: lost, times: 3, after: true },
];

after(() => {
  assert.deepEqual(unknownErrors, []);
});

/** The journal is the same on both databases: on the slower one, the kinds with the most steps stand for the others. */
const onBoth: readonly TaskKindName[] = ['vm-create', 'vm-migrate'];

forEachDatabase('every kind of task', (open, database) => {
  for (const kind of Object.keys(taskKinds) as TaskKindName[]) {
    if (database === 'postgres' && !onBoth.includes(kind)) continue;
    for (const [name, prepare] of Object.entries(taskScenarios[kind])) {
      describe(`${kind}: ${name}`, () => declare(prepare, open));
    }
  }
});

function declare(prepare: (world: TaskWorld) => Promise<Scenario>, open: OpenStore): void {
  let opened: TaskWorld | undefined;
  const world = async () => {
    opened ??= await TaskWorld.open(await open());
    opened.hosts.fate = () => ({ kind: 'work' });
    opened.hosts.onCall = async () => {};
    opened.hosts.forgetful = false;
    await opened.reset();
    return opened;
  };

  async function begin(): Promise<{ world: TaskWorld; scenario: Scenario; taskId: string }> {
    const ready = await world();
    const scenario = await prepare(ready);
    const taskId = await enqueue(ready, scenario);
    ready.hosts.calls = 0;
    return { world: ready, scenario, taskId };
  }

  /** How many calls to hosts it makes when nothing goes wrong. */
  async function countCalls(): Promise<number> {
    const { world, taskId } = await begin();
    await runToEnd(world, taskId);
    return world.hosts.calls;
  }

  /** A parked task goes on when the operator says so, and nothing goes wrong any more. */
  async function unpark(world: TaskWorld, task: TaskRow): Promise<TaskRow> {
    if (task.state !== 'parked') return task;
    world.hosts.fate = () => ({ kind: 'work' });
    await world.store.transaction((tx) => retryTask(tx, task.id));
    return await runToEnd(world, task.id);
  }

  /** An undo said that its step is done for good. */
  async function foundTooLate({ store }: TaskWorld, taskId: string): Promise<boolean> {
    return (await events.select(store.db, { taskId, kind: 'task.undo-too-late' })).length > 0;
  }

  function failing(world: TaskWorld, at: number, fate: Fate, times = 1): void {
    let left = times;
    world.hosts.fate = ({ index }) => {
      if (index < at || left === 0) return { kind: 'work' };
      left -= 1;
      return fate;
    };
  }

  test('does what was asked, and each step may be repeated', async () => {
    for (const forgetful of [false, true]) {
      const { world, scenario, taskId } = await begin();
      world.hosts.forgetful = forgetful;
      const task = await runToEnd(world, taskId);
      assert.deepEqual([task.state, task.percent, task.error], ['succeeded', 100, null]);
      await scenario.check();
      await world.assertAtRest();
    }
  });

  test('goes on after a crash around each write of its journal', async () => {
    for (let at = 1; ; at += 1) {
      const { world, scenario, taskId } = await begin();
      world.hosts.forgetful = at % 2 === 0;
      const point = await runToCrash(world, taskId, at);
      const task = await runToEnd(world, taskId);
      assert.equal(task.state, 'succeeded', point);
      await scenario.check();
      await world.assertAtRest();
      if (point === undefined) break;
    }
  });

  test('goes on after an answer was lost', async () => {
    const calls = await countCalls();
    for (let at = 0; at < calls; at += 1) {
      for (const after of [false, true]) {
        const { world, scenario, taskId } = await begin();
        failing(world, at, { kind: 'throw', error: lost, after });
        const task = await runToEnd(world, taskId);
        assert.equal(task.state, 'succeeded');
        await scenario.check();
        await world.assertAtRest();
      }
    }
  });

  test('is undone when a call fails for good, or parked until it can go on; or says that it is too late', async () => {
    const calls = await countCalls();
    for (let at = 0; at < calls; at += 1) {
      for (const { error, times, after } of failures) {
        const { world, scenario, taskId } = await begin();
        failing(world, at, { kind: 'throw', error, after }, times);
        const end = await runToEnd(world, taskId);
        const stands = after && (await foundTooLate(world, taskId));
        assert.equal(end.state === 'succeeded', stands, `call ${at} failed ${after ? 'after' : 'before'} it worked`);
        if (stands) await scenario.check();
        const task = await unpark(world, end);
        assert.match(task.state, /^(failed|succeeded)$/);
        await world.observe();
        await world.assertAtRest();
      }
    }
  });

  test('does not wait for a host that is proven dead, and leaves nothing there when it is back', async () => {
    const calls = await countCalls();
    for (let at = 0; at < calls; at += 1) {
      for (const after of [false, true]) {
        const { world, scenario, taskId } = await begin();
        let dead: string | undefined;
        world.hosts.fate = ({ index, hostId, method }) => {
          // Its power device is a machine of its own.
          if (method.startsWith('power.')) return { kind: 'work' };
          if (index === at) dead = hostId;
          // What was asked last may have been done.
          return hostId === dead ? { kind: 'throw', error: lost, after: after && index === at } : { kind: 'work' };
        };
        const dying = async () => {
          if (world.hosts.calls === at + 1 && dead !== undefined) await die(world, dead);
        };
        if (after) world.hosts.onAnswer = dying;
        else world.hosts.onCall = dying;
        const task = await runToEnd(world, taskId);
        world.hosts.onCall = async () => {};
        world.hosts.onAnswer = async () => {};
        assert.match(task.state, /^(failed|succeeded)$/, `call ${at}: ${task.error?.message}`);
        if (task.state === 'failed') assert.match(task.error!.message, /dead/);
        const asked = world.hosts.calls;
        assert.ok(asked <= 2 * calls + 2, `${asked} calls`);
        if (dead !== undefined) await comeBack(world, dead);
        if (task.state === 'succeeded' && dead !== world.h1) await scenario.check();
        await world.observe();
        await world.assertAtRest();
      }
    }
  });

  test('goes on with its undo after a crash around each write of its journal', async () => {
    const last = (await countCalls()) - 1;
    if (last < 0) return;
    for (let at = 1; ; at += 1) {
      const { world, taskId } = await begin();
      failing(world, last, { kind: 'throw', error: refused, after: true });
      const point = await runToCrash(world, taskId, at);
      await unpark(world, await runToEnd(world, taskId));
      await world.observe();
      await world.assertAtRest();
      if (point === undefined) break;
    }
  });

  test('leaves nothing when it is cancelled in any step', async () => {
    const calls = await countCalls();
    for (let at = -1; at < calls; at += 1) {
      const { world, scenario, taskId } = await begin();
      const { store } = world;
      let asked = false;
      const cancel = async () => {
        asked = await store.transaction((tx) => requestCancel(tx, taskId, systemClock.now()));
      };
      if (at < 0) await cancel();
      world.hosts.onCall = async () => {
        if (world.hosts.calls === at + 1) await cancel();
      };
      const task = await runToEnd(world, taskId);
      world.hosts.onCall = async () => {};
      assert.match(task.state, asked ? /^(cancelled|succeeded)$/ : /^succeeded$/);
      if (at < 0 && asked) assert.deepEqual([task.state, world.hosts.calls], ['cancelled', 0]);
      if (task.state === 'succeeded') await scenario.check();
      await world.observe();
      await world.assertAtRest();
    }
  });
}
