import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { sql } from 'kysely';
import { systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { bootstrap } from './bootstrap.ts';
import type { Store, Tx } from './database.ts';
import { executeShape } from './compiled-queries.ts';
import { appendEvent, eventsAfter, lastEventSeq } from './events.ts';
import { projects } from './projects.ts';
import { firstRevision } from './versioned.ts';
import { type VolumeRow, volumes } from './volumes.ts';
import { pools } from './pools.ts';
import type { Where } from './table.ts';
import { clusters } from './clusters.ts';

const code = (expected: string) => (error: unknown) => error instanceof KvasirError && error.code === expected;

forEachDatabase('tables', (open) => {
  async function prepared(): Promise<{ store: Store; volume: (name: string, more?: Partial<VolumeRow>) => VolumeRow }> {
    const store = await open();
    await bootstrap(store, { clock: systemClock, ids: systemIds });
    const project = (await projects.find(store.db, { name: 'default' }))!;
    const cluster = (await clusters.find(store.db, { name: 'default' }))!;
    const poolId = systemIds.uuid();
    await store.transaction((tx) =>
      pools.insert(tx, {
        ...firstRevision(poolId, 1),
        name: 'p',
        description: '',
        clusterId: cluster.id,
        kind: 'directory',
        path: '/p',
        shared: true,
      }),
    );
    const volume = (name: string, more: Partial<VolumeRow> = {}): VolumeRow => ({
      ...firstRevision(systemIds.uuid(), 1),
      name,
      description: '',
      labels: { tier: 'gold' },
      projectId: project.id,
      poolId,
      hostId: null,
      state: 'ready',
      format: 'qcow2',
      sizeMib: 1024,
      imageId: null,
      linked: true,
      trashedAt: null,
      ...more,
    });
    return { store, volume };
  }

  test('queries of one shape answer each by its own values', async () => {
    const { store, volume } = await prepared();
    const rows = ['a', 'b', 'c', 'd'].map((name, at) => volume(name, { sizeMib: at, trashedAt: at < 2 ? null : at }));
    await store.transaction((tx) => volumes.insertAll(tx, rows));
    const names = async (where: Where<VolumeRow>, sort?: 'sizeMib') =>
      (await volumes.select(store.db, where, sort ?? 'name')).map(({ name }) => name).join('');
    assert.equal(await names({ sizeMib: 1 }), 'b');
    assert.equal(await names({ sizeMib: 2 }), 'c');
    assert.equal(await names({ sizeMib: [2, 3] }), 'cd');
    assert.equal(await names({ sizeMib: [3, 1, 0] }, 'sizeMib'), 'abd');
    assert.equal(await names({ sizeMib: [], trashedAt: null }), '');
    assert.equal(await names({ trashedAt: null }), 'ab');
    assert.equal(await names({ trashedAt: 2, sizeMib: undefined }), 'c');
    assert.equal(await names({ trashedAt: [2, 3], linked: true }), 'cd');
    assert.equal(await names({ linked: false }), '');
    await store.transaction(async (tx) => {
      assert.equal(await volumes.set(tx, { name: ['a', 'b'] }, { linked: false, trashedAt: null }), 2);
      assert.equal(await volumes.set(tx, { name: ['b', 'c'] }, { linked: true, trashedAt: 9 }), 2);
      assert.equal(await volumes.remove(tx, { name: 'd' }), 1);
      assert.equal(await volumes.remove(tx, { name: 'd' }), 0);
    });
    assert.equal(await names({ linked: false }), 'a');
    assert.equal(await names({ trashedAt: 9 }), 'bc');
    assert.deepEqual(await volumes.find(store.db, { name: 'd' }), undefined);
  });

  test('a shape that forgets a value is refused', async () => {
    const { store } = await prepared();
    const build = (names: readonly string[]) => () =>
      store.db.selectFrom('volumes').select('id').where('name', 'in', names);
    await executeShape(store.db, 'by name', ['a'], build(['a']));
    await assert.rejects(
      executeShape(store.db, 'by name', ['a', 'b'], build(['a', 'b'])),
      /by name takes 1 values, not 2/,
    );
  });

  test('a row comes back with the types that went in', async () => {
    const { store, volume } = await prepared();
    const row = volume('a', { sizeMib: 2 ** 40, createdAt: 1_800_000_000_000 });
    await store.transaction((tx) => volumes.insert(tx, row));
    assert.deepEqual(await volumes.get(store.db, row.id), row);
    assert.equal(await volumes.count(store.db, { linked: true, name: ['a', 'b'], hostId: null }), 1);
    assert.equal(await volumes.count(store.db, { name: [] }), 0);
  });

  test('a taken name is refused by its name, but not in the trash', async () => {
    const { store, volume } = await prepared();
    await store.transaction((tx) => volumes.insert(tx, volume('a')));
    await assert.rejects(
      store.transaction((tx) => volumes.insert(tx, volume('a'))),
      (error: unknown) => code('name-taken')(error) && (error as KvasirError).message.includes('volume named "a"'),
    );
    await store.transaction((tx) => volumes.insert(tx, volume('a', { trashedAt: 5 })));
  });

  test('many rows go in together, or none of them', async () => {
    const { store, volume } = await prepared();
    const rows = ['a', 'b', 'c'].map((name) => volume(name));
    await store.transaction((tx) => volumes.insertAll(tx, rows));
    assert.deepEqual(await volumes.select(store.db, {}, 'name'), rows);
    await store.transaction((tx) => volumes.insertAll(tx, []));
    await assert.rejects(
      store.transaction((tx) => volumes.insertAll(tx, [volume('d'), volume('a')])),
      code('name-taken'),
    );
    assert.equal(await volumes.count(store.db), 3);
  });

  test('an update needs the revision that was read', async () => {
    const { store, volume } = await prepared();
    const row = await store.transaction((tx) => volumes.insert(tx, volume('a')));
    const update = (revision: number) =>
      store.transaction((tx) => volumes.update(tx, row.id, { name: 'b', linked: false }, { now: 9, revision }));
    assert.deepEqual(await update(1), { ...row, name: 'b', linked: false, revision: 2, updatedAt: 9 });
    await assert.rejects(update(1), code('stale-revision'));
    await assert.rejects(
      store.transaction((tx) => volumes.update(tx, systemIds.uuid(), { name: 'b' }, { now: 9 })),
      code('not-found'),
    );
  });

  test('a row that others refer to is not removed', async () => {
    const { store, volume } = await prepared();
    const row = await store.transaction((tx) => volumes.insert(tx, volume('a')));
    await assert.rejects(
      store.transaction((tx) => pools.remove(tx, { id: row.poolId })),
      code('in-use'),
    );
  });

  test('pages stay whole while rows come and go', async () => {
    const { store, volume } = await prepared();
    for (const name of ['Z', 'a', 'B', 'c', 'é', 'b']) {
      await store.transaction((tx) => volumes.insert(tx, volume(name, { sizeMib: 5 })));
    }
    const first = await volumes.list(store.db, { sort: 'name', limit: 2 });
    assert.deepEqual(
      first.items.map((row) => row.name),
      ['B', 'Z'],
    );
    await store.transaction(async (tx) => {
      await volumes.remove(tx, { name: 'Z' });
      await volumes.insert(tx, volume('A'));
    });
    const second = await volumes.list(store.db, { sort: 'name', limit: 10, cursor: first.nextCursor! });
    assert.deepEqual(
      second.items.map((row) => row.name),
      ['a', 'b', 'c', 'é'],
    );
    assert.equal(second.nextCursor, null);
    const bySize = [];
    let cursor: string | undefined;
    do {
      const page = await volumes.list(store.db, { sort: '-sizeMib', limit: 1, cursor });
      bySize.push(...page.items.map((row) => row.id));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    assert.equal(new Set(bySize).size, 6);
    await assert.rejects(volumes.list(store.db, { sort: 'id', cursor: first.nextCursor! }), code('invalid-request'));
    await assert.rejects(volumes.list(store.db, { cursor: 'bm9wZQ' }), code('invalid-request'));
  });

  test('a failed transaction leaves nothing, and a nested one is refused', async () => {
    const { store, volume } = await prepared();
    const row = volume('a');
    await assert.rejects(
      store.transaction(async (tx) => {
        await volumes.insert(tx, row);
        throw new Error('no');
      }),
      /no/,
    );
    assert.equal(await volumes.find(store.db, { id: row.id }), undefined);
    await assert.rejects(
      store.transaction(() => store.transaction(async () => {})),
      /within a transaction/,
    );
  });

  test('events are numbered in the order of commits, without gaps', async () => {
    const { store } = await prepared();
    const before = await lastEventSeq(store.db);
    const append = (n: number) =>
      store.transaction(async (tx: Tx) => {
        await appendEvent(tx, { at: n, kind: 'test', message: String(n), details: { n } });
        await sql`select 1`.execute(tx);
        if (n % 3 === 0) throw new Error('rolled back');
      });
    let seen = before;
    const gaps: number[] = [];
    const reader = (async () => {
      while (seen < before + 20) {
        for (const event of await eventsAfter(store.db, seen)) {
          if (event.seq !== seen + 1) gaps.push(event.seq);
          seen = event.seq;
        }
        // SQLite answers within the turn: without this, no writer would ever get its own.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await Promise.allSettled(Array.from({ length: 30 }, (_, n) => append(n)));
    await reader;
    assert.deepEqual(gaps, []);
    assert.equal(await lastEventSeq(store.db), before + 20);
  });

  test('a second opening finds what the first wrote', async () => {
    const { store } = await prepared();
    await bootstrap(store, { clock: systemClock, ids: systemIds });
    assert.equal(await projects.count(store.db), 1);
  });
});
