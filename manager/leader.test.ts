import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '@kvasir/api/clock.ts';
import { Leadership } from './leader.ts';
import { isDeadProcess, managerName, processIdentity } from './process-identity.ts';
import type { Store } from './store/database.ts';
import { acquireLeadership, currentEpoch } from './store/leader.ts';
import { forEachDatabase } from './testing/databases.ts';
import { ManualClock } from './testing/manual-clock.ts';

function manager(store: Store, clock: Clock, holder: string, isDead?: (holder: string) => boolean) {
  const told: string[] = [];
  const news = { change: Promise.withResolvers<void>() };
  const tell = (what: string) => {
    told.push(what);
    news.change.resolve();
    news.change = Promise.withResolvers<void>();
  };
  const leadership = new Leadership({
    store,
    clock,
    holder,
    isDead,
    onLead: (epoch) => tell(`leads ${epoch}`),
    onLose: () => tell('loses'),
    log: () => {},
  });
  const until = async (what: string) => {
    while (told.at(-1) !== what) await news.change.promise;
  };
  return { leadership, told, until };
}

/** Two seconds pass, and each of the managers gets its answer from the database. */
async function pass(store: Store, clock: ManualClock, managers: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let commits = 0;
  const ended = store.onCommit(() => {
    commits += 1;
    if (commits === managers) resolve();
  });
  // What the answers before set off: all of them sleep again.
  await new Promise((done) => setImmediate(done));
  clock.advance(2000);
  await promise;
  ended();
}

forEachDatabase('the leader', (open) => {
  test('is one at a time, and each has a higher epoch', async () => {
    const store = await open();
    const clock = new ManualClock();
    const a = manager(store, clock, 'a');
    const b = manager(store, clock, 'b');
    a.leadership.start();
    await a.until('leads 1');
    const first = Promise.withResolvers<void>();
    const ended = store.onCommit(first.resolve);
    b.leadership.start();
    await first.promise;
    ended();
    for (let n = 0; n < 10; n += 1) await pass(store, clock, 2);
    assert.deepEqual([a.told, b.told], [['leads 1'], []]);
    await a.leadership.stop();
    assert.equal(a.told.at(-1), 'loses');
    await pass(store, clock, 1);
    await b.until('leads 2');
    assert.equal(b.leadership.epoch, 2);
    await b.leadership.stop();
  });

  test('stops by its own clock when it cannot renew', async () => {
    const store = await open();
    const clock = new ManualClock();
    const a = manager(store, clock, 'a');
    a.leadership.start();
    await a.until('leads 1');
    clock.advance(10_000);
    assert.deepEqual([a.told, a.leadership.epoch], [['leads 1', 'loses'], undefined]);
    await a.leadership.stop();
  });

  test('leads no longer than its lease, even while the timer that says so is late', async () => {
    const store = await open();
    const clock = new ManualClock();
    let lateMs = 0;
    const late: Clock = {
      now: () => clock.now() + lateMs,
      sleep: (ms, signal) => clock.sleep(ms, signal),
      after: (ms, work) => clock.after(ms, work),
    };
    const a = manager(store, late, 'a');
    a.leadership.start();
    await a.until('leads 1');
    assert.equal(a.leadership.epoch, 1);
    lateMs = 10_000;
    assert.equal(a.leadership.epoch, undefined);
    await a.leadership.stop();
  });

  test('loses when another one took over', async () => {
    const store = await open();
    const clock = new ManualClock();
    const a = manager(store, clock, 'a');
    a.leadership.start();
    await a.until('leads 1');
    const take = { holder: 'b', now: clock.now(), leaseMs: 1e6 };
    assert.equal(await store.transaction((tx) => acquireLeadership(tx, take)), undefined);
    assert.equal(await store.transaction((tx) => acquireLeadership(tx, { ...take, isDead: (who) => who === 'a' })), 2);
    await pass(store, clock, 1);
    await a.until('loses');
    await a.leadership.stop();
    assert.equal(await currentEpoch(store.db), 2);
  });
});

test('a process is dead only when that is certain', () => {
  const mine = processIdentity(8080);
  assert.match(managerName(mine) ?? '', /^[^/]+:8080$/);
  assert.equal(managerName('boot/ns/1/2'), undefined, 'of an older version');
  assert.equal(isDeadProcess(mine), false);
  const [boot, pids, , start] = mine.split('/');
  assert.equal(isDeadProcess([boot, pids, 2 ** 30, start].join('/')), true);
  assert.equal(isDeadProcess([boot, pids, process.pid, '1'].join('/')), true);
  assert.equal(isDeadProcess(['another-boot', pids, 2 ** 30, start].join('/')), false);
  assert.equal(isDeadProcess(''), false);
});
