import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachDatabase } from '../testing/databases.ts';
import { appendEvent, eventsAfter, lastEventSeq } from './events.ts';
import type { Tx } from './database.ts';
import { WriterQueue } from './writer-queue.ts';

const event = (tx: Tx, kind: string) => appendEvent(tx, { at: 1, kind, message: kind });

forEachDatabase('the queue of writers', (open) => {
  test('lets writes that wait share a commit, in the order of asking', async () => {
    const store = await open();
    let commits = 0;
    let told = 0;
    const queue = new WriterQueue(
      (work) => {
        commits += 1;
        return store.db.transaction().execute(work);
      },
      () => {
        told += 1;
      },
    );
    const names = Array.from({ length: 40 }, (_, index) => `event-${index}`);
    const seen = await Promise.all(
      names.map((name) =>
        queue.write(async (tx) => {
          await event(tx, name);
          return await lastEventSeq(tx);
        }),
      ),
    );
    assert.deepEqual(
      seen,
      names.map((_, index) => index + 1),
    );
    assert.deepEqual(
      (await eventsAfter(store.db, 0)).map(({ kind }) => kind),
      names,
    );
    assert.equal(commits, 2);
    assert.equal(told, names.length);
  });

  test('takes back only what failed', async () => {
    const store = await open();
    const ends = await Promise.allSettled(
      ['a', 'b', 'c'].map((name) =>
        store.transaction(async (tx) => {
          await event(tx, name);
          if (name === 'b') throw new Error('b is refused');
        }),
      ),
    );
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    const events = await eventsAfter(store.db, 0);
    assert.deepEqual(
      events.map(({ seq, kind }) => [seq, kind]),
      [
        [1, 'a'],
        [2, 'c'],
      ],
    );
  });

  test('goes on after a statement that the database refused', async () => {
    const store = await open();
    const twice = (tx: Tx) =>
      tx
        .insertInto('counters')
        .values([
          { name: 'x', value: 1 },
          { name: 'x', value: 2 },
        ])
        .execute();
    const ends = await Promise.allSettled([store.transaction(twice), store.transaction((tx) => event(tx, 'after'))]);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    assert.equal(await lastEventSeq(store.db), 1);
  });

  test('tells everybody when the common commit failed', async () => {
    const store = await open();
    let commits = 0;
    const queue = new WriterQueue(
      (work) =>
        store.db.transaction().execute(async (tx) => {
          await work(tx);
          throw new Error('the disk is full');
        }),
      () => {
        commits += 1;
      },
    );
    const ends = await Promise.allSettled([queue.write((tx) => event(tx, 'a')), queue.write((tx) => event(tx, 'b'))]);
    assert.deepEqual(
      ends.map((end) => (end.status === 'rejected' ? (end.reason as Error).message : 'fulfilled')),
      ['the disk is full', 'the disk is full'],
    );
    assert.equal(commits, 0);
    assert.equal(await lastEventSeq(store.db), 0);
  });

  test('does the writes again, in their order, when the database asks for that', async () => {
    const store = await open();
    let tries = 0;
    const queue = new WriterQueue(
      (work) =>
        store.db.transaction().execute(async (tx) => {
          await work(tx);
          tries += 1;
          if (tries === 1) throw Object.assign(new Error('could not serialize'), { code: '40001' });
        }),
      () => {},
    );
    await Promise.all(['a', 'b', 'c'].map((name) => queue.write((tx) => event(tx, name))));
    assert.deepEqual(
      (await eventsAfter(store.db, 0)).map(({ kind }) => kind),
      ['a', 'b', 'c'],
    );
  });

  test('fails, one by one, what cannot even begin', async () => {
    const store = await open();
    const queue = new WriterQueue(
      () => Promise.reject(new Error('no connection')),
      () => {},
    );
    const writes = [queue.write(() => Promise.resolve()), queue.write(() => Promise.resolve())];
    for (const end of await Promise.allSettled(writes)) assert.equal(end.status, 'rejected');
    await store.transaction((tx) => event(tx, 'others go on'));
  });

  test('refuses a write within a write', async () => {
    const store = await open();
    await assert.rejects(
      store.transaction(() => store.transaction((tx) => event(tx, 'inner'))),
      /would wait for itself/,
    );
  });

  test('gives the event loop its turn between writes', async () => {
    const store = await open();
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns += 1;
      if (counting) setImmediate(count);
    };
    count();
    await Promise.all(Array.from({ length: 64 }, () => store.transaction((tx) => event(tx, 'many'))));
    counting = false;
    assert.ok(turns > 60, `${turns} turns`);
  });
});
