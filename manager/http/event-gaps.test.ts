/** A watcher of events is told when what comes next does not follow what it has: events are not kept for ever. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient, type WatchOptions } from '@kvasir/api/client.ts';
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { readEventStream } from '@kvasir/api/event-stream.ts';
import { type EventGap, eventOperations } from '@kvasir/api/resources/event.ts';
import { EventFeed } from '../services/event-feed.ts';
import { appendEvent, lastEventSeq } from '../store/events.ts';
import { removeEventsUpTo } from '../store/pruning.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { createServer } from './server.ts';
import { type ApiWorld, openApiWorld } from './testing/api-world.ts';

forEachDatabase('gaps in the stream of events', (open) => {
  let world: ApiWorld;
  let last: number;
  /** What comes until the newest event is there. */
  async function watch(options: WatchOptions): Promise<(number | EventGap)[]> {
    const client = createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });
    const seen: (number | EventGap)[] = [];
    for await (const { seq } of client.watchEvents({ onGap: (gap) => void seen.push(gap), ...options })) {
      seen.push(seq);
      if (seq === last) break;
    }
    return seen;
  }
  const append = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n += 1) {
      await world.store.transaction((tx) => appendEvent(tx, { at: Date.now(), kind: 'test.tick', message: 'tick' }));
    }
    last = await lastEventSeq(world.store.db);
  };
  before(async () => {
    world = await openApiWorld(await open());
    await append(10);
  });
  after(() => world.close());

  it('says that events are gone, goes on with the oldest that is kept, and only where some are', async () => {
    const kept = last - 2;
    await world.store.transaction((tx) => removeEventsUpTo(tx, kept - 1));
    assert.deepEqual(await watch({ after: kept - 4 }), [{ after: kept - 4, next: kept }, kept, kept + 1, last]);
    assert.deepEqual(await watch({ after: kept - 1 }), [kept, kept + 1, last]);
    assert.deepEqual(await watch({ after: 0 }), [kept, kept + 1, last], 'who has seen nothing misses nothing');
  });

  it('says so also where none is left, and where numbers began anew', async () => {
    await world.store.transaction((tx) => removeEventsUpTo(tx, last));
    for (const behind of [last - 3, last + 100]) {
      const next = last + 1;
      const told = Promise.withResolvers<EventGap>();
      const rest = watch({ after: behind, onGap: told.resolve });
      assert.deepEqual(await told.promise, { after: behind, next });
      await append(1);
      assert.deepEqual(await rest, [next]);
    }
  });

  it('ends a watch that cares for no gaps', async () => {
    await assert.rejects(watch({ after: 1, onGap: undefined }), (error) => {
      assert.ok(error instanceof KvasirError && error.code === 'invalid-request');
      assert.match(error.message, /events 2 to \d+ are no longer kept/);
      return true;
    });
  });

  it('tells a watcher that sees nothing how far it is, also while much goes on, so that it misses nothing later', {
    timeout: 30_000,
  }, async () => {
    const fast: Clock = {
      now: () => systemClock.now() * 100,
      after: (ms, run) => systemClock.after(ms / 100, run),
      sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
    };
    const feed = new EventFeed(world.store, fast);
    const app = await createServer({ ...world.env, clock: fast, feed });
    const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 });
    const ended = new AbortController();
    const before = last;
    const busy = (async () => {
      while (!ended.signal.aborted) await append(1);
    })();
    const answer = await fetch(`${baseUrl}/v1${eventOperations.watch.path}?after=${before}`, {
      headers: { authorization: `Bearer ${world.tokens.outsider}` },
      signal: ended.signal,
    });
    const messages = [];
    for await (const message of readEventStream(answer.body!)) if (messages.push(message) === 3) break;
    ended.abort();
    await busy;
    feed.close();
    await app.close();
    const ids = messages.map(({ id }) => Number(id));
    assert.deepEqual(
      messages.map(({ data }) => data),
      ['', '', ''],
    );
    assert.ok(before <= ids[0]! && ids[0]! < ids[1]! && ids[1]! < ids[2]! && ids[2]! <= last, ids.join());
  });
});
