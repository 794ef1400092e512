/** A migration that is stopped: whoever died meanwhile, the destination is cleared only when the source said that the VM stayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { events } from '../store/events.ts';
import { requestCancel, type TaskRow, taskSteps } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import type { CallFate } from '../testing/fake-hosts.ts';
import { enqueue, lead, runToCrash, runToEnd } from '../testing/task-runs.ts';
import { type Scenario, taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { retryTask } from './retry.ts';

const unreachable = new KvasirError('host-unreachable', { host: 'h1' });

forEachDatabase('a migration that is stopped', (open) => {
  let opened: TaskWorld | undefined;

  async function begin() {
    const world = (opened ??= await TaskWorld.open(await open()));
    world.hosts.fate = () => ({ kind: 'work' });
    world.hosts.onAnswer = async () => {};
    await world.reset();
    const scenario = await taskScenarios['vm-migrate']['with storage']!(world);
    return { world, scenario, taskId: await enqueue(world, scenario), called: callsOf(world) };
  }

  const cancel = async ({ store }: TaskWorld, taskId: string): Promise<boolean> =>
    await store.transaction((tx) => requestCancel(tx, taskId, systemClock.now()));

  const retried = async (world: TaskWorld, taskId: string): Promise<TaskRow> => {
    world.hosts.fate = () => ({ kind: 'work' });
    await world.store.transaction((tx) => retryTask(tx, taskId));
    return await runToEnd(world, taskId);
  };

  test('its source goes on when the manager dies: the next one ends that before it clears the destination', async () => {
    const { world, scenario, taskId, called } = await begin();
    const sending = Promise.withResolvers<void>();
    called.first('migration.send', async () => {
      world.hosts.underWay.add(vmIdOf(scenario));
      sending.resolve();
      await new Promise(() => {});
    });
    const dead = await lead(world);
    await sending.promise;
    await dead.stop();
    await cancel(world, taskId);
    const task = await runToEnd(world, taskId);
    assert.deepEqual([task.state, task.error?.code], ['cancelled', 'cancelled']);
    assert.equal((await vms.get(world.store.db, vmIdOf(scenario))).hostId, world.h1);
    assert.equal(world.hosts.underWay.size, 0);
    assert.ok(called.names.includes('migration.abandon'));
    await world.assertAtRest();
  });

  test('too late it is finished, and says so, wherever its manager dies', async () => {
    const crashes: string[] = [];
    for (let at = 0; ; at += 1) {
      const { world, scenario, taskId, called } = await begin();
      world.hosts.fate = throwing('migration.send', unreachable, true);
      called.first('migration.send', () => cancel(world, taskId));
      const point = await runToCrash(world, taskId, at);
      const task = await runToEnd(world, taskId);
      assert.deepEqual([task.state, task.error, task.percent], ['succeeded', null, 100], point);
      await scenario.check();
      await world.assertAtRest();
      assert.equal(called.names.includes('migration.abandon'), false, point);
      const told = await events.select(world.store.db, { taskId }, 'seq');
      const kinds = told.map(({ kind }) => kind).filter((kind) => kind === 'vm.migrated' || kind.endsWith('too-late'));
      assert.deepEqual(kinds, ['task.undo-too-late', 'vm.migrated'], point);
      assert.match(told.find(({ kind }) => kind.endsWith('too-late'))!.message, /cancel came too late/);
      if (point === undefined) break;
      crashes.push(point);
    }
    assert.ok(crashes.includes('before stands send') && crashes.includes('after stands send'), crashes.join());
  });

  test('asked to stop when the VM has moved already, it is finished, and tells the move once', async () => {
    const { world, scenario, taskId } = await begin();
    let asked = false;
    world.hosts.onAnswer = async (method) => {
      if (method === 'migration.send') asked = await cancel(world, taskId);
    };
    const task = await runToEnd(world, taskId);
    assert.ok(asked);
    assert.deepEqual([task.state, task.error], ['succeeded', null]);
    await scenario.check();
    assert.equal((await events.select(world.store.db, { taskId, kind: 'vm.migrated' })).length, 1);
    await world.assertAtRest();
  });

  test('with a source out of reach it waits, and clears nothing', async () => {
    const { world, scenario, taskId, called } = await begin();
    const h1 = new KvasirError('host-unreachable', { host: 'h1' });
    world.hosts.fate = ({ method }) =>
      ['migration.send', 'migration.cancel'].includes(method)
        ? { kind: 'throw', error: h1, after: false }
        : { kind: 'work' };
    called.first('migration.send', async () => {
      world.hosts.underWay.add(vmIdOf(scenario));
      await cancel(world, taskId);
    });
    const parked = await runToEnd(world, taskId);
    assert.deepEqual([parked.state, parked.error?.code], ['parked', 'host-unreachable']);
    assert.equal(parked.error?.message, 'Step send: The host "h1" is not connected');
    assert.equal(called.names.includes('migration.abandon'), false);
    assert.equal((await retried(world, taskId)).state, 'cancelled');
    await world.assertAtRest();
  });

  test('when neither host has the VM, or both, it is parked and nothing is cleared', async () => {
    for (const where of ['nowhere', 'both'] as const) {
      const { world, scenario, taskId } = await begin();
      const [source, destination] = [world.hosts.host(world.h1), world.hosts.host(world.h2)];
      const vmId = vmIdOf(scenario);
      world.hosts.fate = throwing('migration.send', new KvasirError('host-failed', { reason: 'no' }), false);
      world.hosts.onCall = async (method) => {
        if (method !== 'migration.send') return;
        if (where === 'nowhere') source.domains.delete(vmId);
        else destination.domains.get(vmId)!.incoming = false;
      };
      const parked = await runToEnd(world, taskId);
      assert.equal(parked.state, 'parked');
      assert.match(
        parked.error!.message,
        where === 'nowhere' ? /has left the source, and is not on/ : /did not let it go/,
      );
      assert.ok(destination.domains.has(vmId));
      assert.equal(destination.volumes.size, 1);
      const states = (await taskSteps.select(world.store.db, { taskId }, 'position')).map(({ state }) => state);
      assert.deepEqual(states, ['done', where === 'nowhere' ? 'failed' : 'undone', 'waiting']);
    }
  });
});

function vmIdOf({ task }: Scenario): string {
  return task.target.id;
}

/** All calls of one method fail. */
function throwing(name: string, error: KvasirError, after: boolean): CallFate {
  return ({ method }) => (method === name ? { kind: 'throw', error, after } : { kind: 'work' });
}

/** The names of all calls, and what to do at the first of one. */
function callsOf({ hosts }: TaskWorld) {
  const names: string[] = [];
  const firsts = new Map<string, () => Promise<unknown>>();
  hosts.onCall = async (method) => {
    names.push(method);
    const act = firsts.get(method);
    firsts.delete(method);
    await act?.();
  };
  return { names, first: (method: string, act: () => Promise<unknown>) => void firsts.set(method, act) };
}
