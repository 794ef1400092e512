/** Two managers on one PostgreSQL: the commits of one wake the other, and without that polling is enough. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { sql } from 'kysely';
import { EventFeed } from '../services/event-feed.ts';
import { postgresServer } from '../testing/postgres-server.ts';
import { openDatabase, type Store } from './database.ts';
import { appendEvent, lastEventSeq } from './events.ts';

/** Nothing here shall last so long; what does has not come at all. */
const patienceMs = 20_000;

/** Who polls with this clock finds nothing: only short waits end, and those for patience. `looks`: how many short ones began. */
function clockWithoutPolls() {
  const clock = {
    ...systemClock,
    looks: 0,
    after: (ms: number, work: () => void) => {
      if (ms >= patienceMs) return systemClock.after(ms, work);
      if (ms >= 500) return () => {};
      clock.looks += 1;
      return systemClock.after(ms, work);
    },
  } satisfies Clock & { looks: number };
  return clock;
}

describe('wake-ups between managers on one PostgreSQL', () => {
  const opened: Store[] = [];
  after(async () => {
    for (const store of opened) await store.close();
  });

  async function twoManagers(): Promise<readonly [Store, Store]> {
    const url = await (await postgresServer()).createDatabase();
    const stores = [await openDatabase(url), await openDatabase(url)] as const;
    opened.push(...stores);
    return stores;
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const giveUp = systemClock.now() + patienceMs;
    while (!(await holds())) {
      if (systemClock.now() > giveUp) throw new Error(`${what} did not come`);
      await systemClock.sleep(10);
    }
  }

  async function listeners(store: Store): Promise<number[]> {
    const { rows } = await sql<{ pid: number }>`select pid from pg_stat_activity
      where datname = current_database() and application_name = 'kvasir wake-ups' and query like 'listen%'
      order by pid`.execute(store.db);
    return rows.map(({ pid }) => pid);
  }

  const happen = (store: Store) => store.transaction((tx) => appendEvent(tx, { at: 1, kind: 'x', message: '' }));

  /** Resolves when the feed says that there is something after `seq`. */
  async function seen(store: Store, feed: EventFeed, seq: number): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs);
    while ((await lastEventSeq(store.db)) <= seq) {
      await feed.wait(seq, 2 * patienceMs, signal);
      // What is there only now was not noticed: the time was over.
      signal.throwIfAborted();
    }
  }

  test('a watch at one sees what the other writes, without a poll', async () => {
    const [writer, watcher] = await twoManagers();
    await until('two listeners', async () => (await listeners(writer)).length === 2);
    const clock = clockWithoutPolls();
    const feed = new EventFeed(watcher, clock);
    for (let count = 0; count < 3; count += 1) {
      const before = await lastEventSeq(watcher.db);
      const watching = seen(watcher, feed, before);
      let [looks, since] = [clock.looks, systemClock.now()];
      // Waiting begins with looks of its own; they are over when no other has begun for a while.
      await until('its last look at the beginning', async () => {
        if (clock.looks !== looks) [looks, since] = [clock.looks, systemClock.now()];
        return looks > 0 && systemClock.now() - since > 150;
      });
      await happen(writer);
      await watching;
    }
    feed.close();
  });

  test('a commit of its own does not wake a manager a second time', async () => {
    const [writer, other] = await twoManagers();
    await until('two listeners', async () => (await listeners(writer)).length === 2);
    const commits = 10;
    let woken = 0;
    writer.onCommit(() => void (woken += 1));
    for (let count = 0; count < commits; count += 1) await happen(writer);
    // Notifications come in the order of commits: with that of the other, all of its own would have come.
    await happen(other);
    await until('the wake-up by the other', async () => woken > commits);
    // One more at most: it may begin to listen only now.
    assert.ok(woken <= commits + 2, `woken ${woken} times by ${commits} commits of its own and one of the other`);
  });

  test('when nobody listens any more the poll finds it, and listening begins anew', async () => {
    const [writer, watcher] = await twoManagers();
    await until('two listeners', async () => (await listeners(writer)).length === 2);
    const old = await listeners(writer);
    let woken = 0;
    watcher.onCommit(() => void (woken += 1));
    const feed = new EventFeed(watcher, systemClock);
    const before = await lastEventSeq(watcher.db);
    const watching = seen(watcher, feed, before);
    await sql`select pg_terminate_backend(pid) from unnest(${old}::int[]) as pid`.execute(writer.db);
    await until('the end of both', async () => (await listeners(writer)).every((pid) => !old.includes(pid)));
    const deaf = woken === 0;
    await happen(writer);
    await watching;
    assert.ok(deaf, 'the watcher was woken before it listened again');
    await until('two new listeners', async () => (await listeners(writer)).length === 2);
    feed.close();
    const fresh = new EventFeed(watcher, clockWithoutPolls());
    const again = seen(watcher, fresh, await lastEventSeq(watcher.db));
    await happen(writer);
    await again;
    fresh.close();
  });
});
