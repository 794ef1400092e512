/** What is too old goes, in small batches; what is young, parked or under way stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemIds } from '../ids.ts';
import { audit } from '../store/audit.ts';
import { bootstrap } from '../store/bootstrap.ts';
import { clusters } from '../store/clusters.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent, eventsAfter } from '../store/events.ts';
import { idempotencyKeys } from '../store/idempotency-keys.ts';
import { joinTokens } from '../store/join-tokens.ts';
import { sessions } from '../store/sessions.ts';
import { writeSetting } from '../store/settings.ts';
import { type TaskState, tasks, taskSteps } from '../store/tasks.ts';
import { users } from '../store/users.ts';
import { firstRevision } from '../store/versioned.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { prune, retentionSetting } from './pruning.ts';

const day = 86_400_000;
const never = new AbortController().signal;

forEachDatabase('pruning', (open) => {
  /** Many years after the clock's beginning. */
  async function begin() {
    const store = await open();
    const clock = new ManualClock();
    clock.advance(1000 * day);
    await bootstrap(store, { clock, ids: systemIds });
    // Pauses between batches last no time here.
    const hasty = { now: () => clock.now(), sleep: async () => {}, after: clock.after.bind(clock) };
    return { store, clock: hasty, now: clock.now() };
  }

  async function write(store: Store, work: (tx: Tx) => Promise<unknown>): Promise<void> {
    await store.transaction(async (tx) => void (await work(tx)));
  }

  test('removes events by age and by number, the oldest first, and leaves no gap', async () => {
    const { store, clock, now } = await begin();
    await write(store, async (tx) => {
      for (let count = 0; count < 10; count += 1) {
        await appendEvent(tx, { at: count < 4 ? now - 31 * day : now, kind: 'x', message: String(count) });
      }
    });
    const all = await eventsAfter(store.db, 0);
    const removed = await prune({ store, clock }, never);
    assert.equal(removed['events'], all.filter(({ at }) => at < now - 30 * day).length);
    assert.equal((await eventsAfter(store.db, 0))[0]?.message, '4');
    await write(store, (tx) => writeSetting(tx, retentionSetting, { eventRows: 2 }));
    await prune({ store, clock }, never);
    assert.deepEqual(
      (await eventsAfter(store.db, 0)).map(({ message }) => message),
      ['8', '9'],
    );
  });

  test('goes in batches, and leaves what is too much for one look to the next', async () => {
    const { store, clock } = await begin();
    await write(store, async (tx) => {
      for (let count = 0; count < 9; count += 1) await audit.insert(tx, entry(systemIds.uuid(), 0));
    });
    const sizes = { rows: 2, batches: 3 };
    assert.equal((await prune({ store, clock }, never, sizes))['audit'], 6);
    assert.equal((await prune({ store, clock }, never, sizes))['audit'], 3);
    assert.equal(await audit.count(store.db), 0);
  });

  test('stops between batches when this manager no longer leads', async () => {
    const { store, clock } = await begin();
    await write(store, async (tx) => {
      for (let count = 0; count < 4; count += 1) await audit.insert(tx, entry(systemIds.uuid(), 0));
    });
    const stop = new AbortController();
    const stopping = { ...clock, sleep: async () => stop.abort() };
    await prune({ store, clock: stopping }, stop.signal, { rows: 1, batches: 40 });
    assert.equal(await audit.count(store.db), 3);
  });

  test('keeps young audit entries, and tasks that are young or not over', async () => {
    const { store, clock, now } = await begin();
    const old = now - 91 * day;
    await write(store, async (tx) => {
      await audit.insert(tx, entry('old', now - 401 * day));
      await audit.insert(tx, entry('young', now - 399 * day));
      for (const state of ['queued', 'running', 'undoing', 'parked'] as const)
        await addTask(tx, state, state, old, null);
      for (const state of ['succeeded', 'failed', 'cancelled'] as const) await addTask(tx, state, state, old, old);
      await addTask(tx, 'long', 'succeeded', old, now);
    });
    await prune({ store, clock }, never);
    assert.deepEqual(
      (await audit.select(store.db)).map(({ id }) => id),
      ['young'],
    );
    const kept = (await tasks.select(store.db)).map(({ id }) => id);
    assert.deepEqual(kept, ['long', 'parked', 'queued', 'running', 'undoing']);
    assert.deepEqual([...new Set((await taskSteps.select(store.db)).map(({ taskId }) => taskId))].sort(), kept);
  });

  test('removes logins, join tokens and idempotency keys whose time is over', async () => {
    const { store, clock, now } = await begin();
    await write(store, async (tx) => {
      const user = { name: 'u', description: '', systemRole: 'none', disabled: false, passwordHash: '' } as const;
      const { id: userId } = await users.insert(tx, { ...firstRevision('u', 1), ...user });
      const clusterId = (await clusters.find(tx, {}))!.id;
      for (const [id, expiresAt] of [
        ['over', now],
        ['valid', now + 1],
      ] as const) {
        await sessions.insert(tx, { id, userId, tokenHash: id, sourceAddress: '', createdAt: 1, expiresAt });
        const use = { userId: null, usedAt: null, hostId: null };
        await joinTokens.insert(tx, { id, tokenHash: id, clusterId, createdAt: 1, expiresAt, ...use });
        const request = { operation: 'x', requestHash: 'x', status: 200, response: null };
        await idempotencyKeys.insert(tx, { userId, key: id, ...request, createdAt: 1, expiresAt });
      }
    });
    await prune({ store, clock }, never);
    assert.deepEqual(
      (await sessions.select(store.db)).map(({ id }) => id),
      ['valid'],
    );
    assert.deepEqual(
      (await joinTokens.select(store.db)).map(({ id }) => id),
      ['valid'],
    );
    assert.deepEqual(
      (await idempotencyKeys.select(store.db)).map(({ key }) => key),
      ['valid'],
    );
  });
});

function entry(id: string, at: number) {
  const who = { userId: null, userName: null, projectId: null, sourceAddress: '' };
  return { id, at, ...who, operation: 'vm.create', path: '/', status: 200, code: null };
}

async function addTask(tx: Tx, id: string, state: TaskState, createdAt: number, finishedAt: number | null) {
  const target = { targetKind: 'vm', targetId: id, targetName: id, projectId: null, userId: null };
  const progress = { percent: 0, step: null, bytesDone: null, bytesTotal: null, downtimeMs: null };
  const ask = { cancellable: false, cancelRequestedAt: null, error: null, notBefore: 0, parkedAt: null, revivals: 0 };
  const times = { createdAt, startedAt: null, finishedAt };
  await tasks.insert(tx, { id, kind: 'vm-start', params: {}, state, ...target, ...progress, ...ask, ...times });
  const step = { position: 0, name: 'x', state: 'waiting', result: null, attempts: 0 } as const;
  await taskSteps.insert(tx, { taskId: id, ...step, startedAt: null, finishedAt: null });
}
