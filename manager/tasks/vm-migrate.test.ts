/** A migration that is stopped: whoever died meanwhile, the destination is cleared only when the source said that the VM stayed. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { events } from '../store/events.ts';
import { endProofs, recordProof } from '../store/fence-proofs.ts';
import { requestCancel, type TaskRow, taskSteps } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import type { CallFate } from '../testing/fake-hosts.ts';
import { enqueue, lead, runToCrash, runToEnd } from '../testing/task-runs.ts';
import type { Scenario } from '../testing/scenarios/scenario.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
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
      // Its answer is lost only once the task has been told to stop.
      world.hosts.onAnswer = async (method, signal) => {
        if (method !== 'migration.send' || !(await cancel(world, taskId))) return;
        await new Promise<void>((resolve) => {
          if (signal!.aborted) resolve();
          else signal!.addEventListener('abort', () => resolve());
        });
      };
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

  test('is not sent to a destination that is not ready for it any more', async () => {
    const { world, scenario, taskId, called } = await begin();
    world.hosts.fate = throwing('migration.ready', new KvasirError('host-failed', { reason: 'no lease' }), false);
    const task = await runToEnd(world, taskId);
    assert.deepEqual([task.state, called.names.includes('migration.send')], ['failed', false]);
    assert.equal((await vms.get(world.store.db, vmIdOf(scenario))).hostId, world.h1);
    await world.assertAtRest();
  });

  const prove = async ({ store }: TaskWorld, hostId: string, atMs = systemClock.now()): Promise<void> => {
    const word = { userId: 'u', userName: 'ann', statement: 'unplugged' };
    const proof = operatorProof({ hostId, hostName: 'h', bootId: null }, word, atMs);
    await store.transaction(async (tx) => void (await recordProof(tx, randomUUID(), proof, null)));
  };

  /** What becomes of a migration whose hosts die while it sends; `arrived`: just after the VM came to its destination. */
  async function dying(dead: readonly ('source' | 'destination')[], arrived: boolean) {
    const { world, scenario, taskId, called } = await begin();
    const sides = { source: world.h1, destination: world.h2 };
    const lost = dead.map((side) => sides[side]);
    let died = false;
    world.hosts.fate = ({ method, hostId }) => {
      if (method === 'migration.send' && !arrived) died = true;
      const error = new KvasirError('host-unreachable', { host: hostId });
      const cut = lost.includes(hostId) || (method === 'migration.send' && !arrived);
      return died && cut ? { kind: 'throw', error, after: false } : { kind: 'work' };
    };
    world.hosts.onAnswer = async (method) => void (died ||= method === 'migration.send' && arrived);
    called.names.length = 0;
    const parked = await runToEnd(world, taskId);
    assert.equal(parked.state, 'parked', 'silence is no proof');
    for (const hostId of lost) {
      assert.equal((await vms.get(world.store.db, vmIdOf(scenario))).reservedHostId === null, arrived);
      await prove(world, hostId);
    }
    await world.store.transaction((tx) => retryTask(tx, taskId));
    const task = await runToEnd(world, taskId);
    await world.store.transaction(async (tx) => {
      for (const hostId of lost) await endProofs(tx, hostId, systemClock.now());
    });
    const { hostId, reservedHostId } = await vms.get(world.store.db, vmIdOf(scenario));
    const side = hostId === world.h1 ? 'source' : 'destination';
    return { state: task.state, at: side, reserved: reservedHostId, message: task.error?.message };
  }

  test('goes on without a host that is proven dead, wherever the VM was by then', async () => {
    assert.deepEqual(await dying(['source'], true), end('succeeded', 'destination'));
    assert.partialDeepStrictEqual(await dying(['source'], false), { state: 'failed', at: 'source', reserved: null });
    assert.partialDeepStrictEqual(await dying(['destination'], false), {
      state: 'failed',
      at: 'source',
      reserved: null,
    });
    assert.partialDeepStrictEqual(await dying(['source', 'destination'], false), { state: 'failed', at: 'source' });
  });

  test('between two dead hosts is waited for when its destination may have been on again before its source died', async () => {
    const { world, scenario, taskId } = await begin();
    world.hosts.fate = throwing('migration.send', unreachable, false);
    world.hosts.onCall = async (method) => {
      if (method !== 'migration.send') return;
      await prove(world, world.h2, systemClock.now() - 60_000);
      await prove(world, world.h1);
    };
    const parked = await runToEnd(world, taskId);
    assert.deepEqual([parked.state, parked.error?.code], ['parked', 'host-unreachable']);
    assert.equal(parked.error?.details['hostId'], world.h2);
    await prove(world, world.h2);
    assert.equal((await retried(world, taskId)).state, 'failed');
    assert.equal((await vms.get(world.store.db, vmIdOf(scenario))).hostId, world.h1);
    await world.store.transaction(async (tx) => {
      for (const hostId of [world.h1, world.h2]) await endProofs(tx, hostId, systemClock.now());
    });
  });

  test('that comes through after its destination was proven dead is not taken to have died with it', async () => {
    for (const answered of [false, true]) {
      const { world, scenario, taskId } = await begin();
      const vmId = vmIdOf(scenario);
      world.hosts.awayMs = 0;
      world.hosts.fate = answered ? () => ({ kind: 'work' }) : throwing('migration.send', unreachable, true);
      world.hosts.onCall = async (method) => {
        if (method === 'migration.send') await prove(world, world.h2);
      };
      const parked = await runToEnd(world, taskId);
      assert.deepEqual([parked.state, parked.error?.code], ['parked', 'host-unreachable']);
      assert.equal(parked.error?.details['hostId'], world.h2);
      assert.equal((await vms.get(world.store.db, vmId)).hostId, world.h1, 'the proof says nothing of it');
      world.hosts.awayMs = 3_600_000;
      assert.equal((await retried(world, taskId)).state, 'succeeded');
      assert.equal((await vms.get(world.store.db, vmId)).hostId, world.h2);
      await world.store.transaction((tx) => endProofs(tx, world.h2, systemClock.now()));
    }
  });

  test('never made ready for, an old definition at its destination does not pass for the VM', async () => {
    const { world, scenario, taskId } = await begin();
    const [vmId, { domains }] = [vmIdOf(scenario), world.hosts.host(world.h2)];
    domains.set(vmId, { ...world.hosts.host(world.h1).domains.get(vmId)!, state: 'crashed', incoming: false });
    world.hosts.fate = throwing('migration.prepare', unreachable, false);
    world.hosts.onCall = async (method) => {
      if (method === 'migration.prepare') await prove(world, world.h1);
    };
    assert.equal((await runToEnd(world, taskId)).state, 'failed');
    const { hostId, reservedHostId } = await vms.get(world.store.db, vmId);
    assert.deepEqual([hostId, reservedHostId, domains.get(vmId)?.state], [world.h1, null, 'crashed']);
    await world.store.transaction((tx) => endProofs(tx, world.h1, systemClock.now()));
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

function end(state: string, at: string) {
  return { state, at, reserved: null, message: undefined };
}

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
