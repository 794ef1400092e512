/** Parked tasks go on by themselves when the host that they miss is back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { eventsAfter } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { die } from '../testing/host-death.ts';
import { enqueue, runToEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { retryTask } from '../tasks/retry.ts';
import { decideRevivals, type ParkedTask, revive } from './revival.ts';

const migrate = taskScenarios['vm-migrate']['on shared storage']!;
const later = { ...systemClock, now: () => systemClock.now() + 60_000 };

forEachDatabase('a parked task', (open) => {
  /** A migration that has arrived, but whose source cannot be told to forget the VM. */
  async function parkedAtSource(error: KvasirError) {
    const world = await TaskWorld.open(await open());
    const scenario = await migrate(world);
    const id = await enqueue(world, scenario);
    world.hosts.fate = ({ method }) =>
      method === 'migration.forget' ? { kind: 'throw', error, after: false } : { kind: 'work' };
    const task = await runToEnd(world, id);
    assert.equal(task.state, 'parked');
    world.hosts.fate = () => ({ kind: 'work' });
    const setHost = (state: 'up' | 'down') =>
      world.store.transaction((tx) => hosts.set(tx, { id: world.h1 }, { state }));
    return { world, scenario, id, task, setHost };
  }

  test('of a migration clears its source when that host is back, and not before', async () => {
    const away = new KvasirError('host-unreachable', { host: 'h1' });
    const { world, scenario, id, task, setHost } = await parkedAtSource(away);
    assert.equal(task.error?.details['hostId'], world.h1);
    assert.match(task.error.message, /^Step forget: The host "h1" is not connected$/);
    const { store } = world;
    await setHost('down');
    assert.equal(await revive({ store, clock: later }), 0);
    await setHost('up');
    assert.equal(await revive({ store, clock: systemClock }), 0, 'not without a pause');
    assert.equal(await revive({ store, clock: later }), 1);
    assert.equal(await revive({ store, clock: later }), 0, 'once');
    const events = await eventsAfter(store.db, 0);
    assert.match(events.at(-1)!.message, /tries again: the host h1\d* is up/);
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
    await scenario.check();
    await world.assertAtRest();
  });

  test('that is parked again counts on, until an operator retries it', async () => {
    const away = new KvasirError('timeout', { what: 'x', timeoutMs: 1 });
    const { world, id } = await parkedAtSource(away);
    const { store } = world;
    await revive({ store, clock: later });
    world.hosts.fate = () => ({ kind: 'throw', error: away, after: false });
    const again = await runToEnd(world, id);
    assert.deepEqual([again.state, again.revivals], ['parked', 1]);
    await store.transaction((tx) => retryTask(tx, id));
    assert.equal((await tasks.get(store.db, id)).revivals, 0);
    world.hosts.fate = () => ({ kind: 'work' });
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
  });

  test('of an undo goes on undoing', async () => {
    const world = await TaskWorld.open(await open());
    const id = await enqueue(world, await taskScenarios['vm-create']['and start']!(world));
    const away = new KvasirError('host-unreachable', { host: 'h1' });
    world.hosts.fate = ({ method }) => {
      if (method === 'vm.start')
        return { kind: 'throw', error: new KvasirError('host-failed', { reason: 'no' }), after: false };
      return method === 'vm.undefine' ? { kind: 'throw', error: away, after: false } : { kind: 'work' };
    };
    const parked = await runToEnd(world, id);
    assert.equal(parked.state, 'parked');
    world.hosts.fate = () => ({ kind: 'work' });
    assert.equal(await revive({ store: world.store, clock: later }), 1);
    const task = await runToEnd(world, id);
    assert.deepEqual([task.state, task.error?.code], ['failed', 'host-failed']);
    assert.equal((await vms.get(world.store.db, parked.targetId)).state, 'failed');
    await world.assertAtRest();
  });

  test('that was tried in vain while its host was away is tried again with each new proof about that', async () => {
    const away = new KvasirError('host-unreachable', { host: 'h1' });
    const { world, id, setHost } = await parkedAtSource(away);
    const { store } = world;
    await setHost('down');
    await store.transaction((tx) => tasks.set(tx, { id }, { revivals: 8 }));
    assert.equal(await revive({ store, clock: later }), 0);
    await die(world, world.h1);
    assert.equal(await revive({ store, clock: later }), 1);
    assert.equal((await runToEnd(world, id)).state, 'succeeded');
  });

  test('of a kind that is not known here is left to a newer manager', async () => {
    const { world, id } = await parkedAtSource(new KvasirError('host-unreachable', { host: 'h1' }));
    const { store } = world;
    await store.transaction((tx) => tasks.set(tx, { id }, { kind: 'vm-teleport' }));
    assert.equal(await revive({ store, clock: later }), 0);
    const asked = store.transaction((tx) => retryTask(tx, id));
    await assert.rejects(asked, (error) => error instanceof KvasirError && error.code === 'unsupported');
  });

  test('that was refused stays for the operator', async () => {
    const { world, id } = await parkedAtSource(new KvasirError('host-failed', { reason: 'no' }));
    assert.equal(await revive({ store: world.store, clock: later }), 0);
    assert.equal((await tasks.get(world.store.db, id)).state, 'parked');
  });
});

describe('deciding about parked tasks', () => {
  const error = { code: 'timeout', message: '', details: { hostId: 'h1' } };
  const parked = (revivals: number): ParkedTask => ({
    id: 't',
    kind: 'vm-migrate',
    state: 'parked',
    error,
    parkedAt: 0,
    revivals,
  });
  const up = [{ id: 'h1', name: 'h1', state: 'up', dead: false, lacks: [] }] as const;

  test('pauses grow', () => {
    const dueAt = (revivals: number) => {
      for (let at = 0; ; at += 5000) if (decideRevivals([parked(revivals)], up, at).length === 1) return at;
    };
    assert.deepEqual([0, 1, 2, 7].map(dueAt), [5000, 10_000, 20_000, 640_000]);
  });

  test('nothing is tried without end, nor for a host that is gone or unknown', () => {
    assert.deepEqual(decideRevivals([parked(8)], up, Infinity), []);
    assert.deepEqual(decideRevivals([parked(0)], [], Infinity), []);
    assert.deepEqual(decideRevivals([parked(0)], [{ ...up[0], state: 'down' }], Infinity), []);
    const dead = [{ ...up[0], state: 'down', dead: true }] as const;
    assert.equal(decideRevivals([parked(0)], dead, Infinity).length, 1, 'it goes on without it');
    assert.deepEqual(decideRevivals([{ ...parked(0), state: 'undoing' }], up, Infinity), []);
    assert.deepEqual(decideRevivals([{ ...parked(0), error: { ...error, code: 'host-failed' } }], up, Infinity), []);
    const pool = { code: 'pool-unreachable', message: '', details: { hostId: 'h1', poolId: 'p1', pool: 'fast' } };
    const lacking = { ...parked(0), error: pool };
    assert.deepEqual(decideRevivals([lacking], [{ ...up[0], lacks: ['p1'] }], Infinity), []);
    const [revival] = decideRevivals([lacking], [{ ...up[0], lacks: ['p2'] }], Infinity);
    assert.equal(revival?.because, 'the host h1 reaches the pool fast');
    const elsewhere = { ...parked(0), error: { ...error, details: {} } };
    assert.deepEqual(decideRevivals([elsewhere], up, Infinity), []);
    const newer = { ...parked(0), kind: 'vm-teleport' };
    assert.deepEqual(decideRevivals([newer], up, Infinity), [], 'a newer manager knows how');
  });
});
