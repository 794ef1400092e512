/** PostgreSQL that breaks off, hangs, or is set up otherwise than usual: nothing that was answered is lost, and nobody waits for ever. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { after, describe, test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { sql } from 'kysely';
import { postgresServer } from '../testing/postgres-server.ts';
import { openDatabase, type Store, type Tx } from './database.ts';
import { appendEvent, lastEventSeq } from './events.ts';

const happen = (tx: Tx) => appendEvent(tx, { at: 1, kind: 'x', message: '' });

describe('trouble with PostgreSQL', () => {
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function open(url: string): Promise<Store> {
    const store = await openDatabase(url);
    closing.push(() => store.close());
    return store;
  }

  const newUrl = async () => (await postgresServer()).createDatabase();

  async function backend(tx: Tx): Promise<number> {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
    return rows[0]!.pid;
  }

  test('a connection that breaks within a write fails that write alone', async () => {
    const store = await open(await newUrl());
    const broken = store.transaction(async (tx) => {
      await happen(tx);
      await sql`select pg_terminate_backend(${await backend(tx)})`.execute(store.db);
      // It is under way when the end of the connection comes, or comes after it.
      await happen(tx);
    });
    await assert.rejects(broken);
    await store.transaction(happen);
    assert.equal(await lastEventSeq(store.db), 1);
  });

  test('a manager that hangs within a write keeps no other from writing for longer than a lease lasts', async () => {
    const url = await newUrl();
    const [hanging, other] = [await open(url), await open(url)];
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const held = hanging.transaction(async (tx) => {
      await happen(tx);
      begun.resolve();
      await goOn.promise;
      await happen(tx);
    });
    await begun.promise;
    await other.transaction(happen);
    goOn.resolve();
    await assert.rejects(held);
    assert.equal(await lastEventSeq(other.db), 1);
  });

  test('writes see all that was written before and are on disk, whatever the usual setting of the database', async () => {
    const url = await newUrl();
    const first = await open(url);
    for (const setting of ["default_transaction_isolation = 'repeatable read'", "synchronous_commit = 'off'"]) {
      await first.transaction((tx) =>
        sql`alter database ${sql.ref(new URL(url).pathname.slice(1))} set ${sql.raw(setting)}`.execute(tx),
      );
    }
    const [one, two] = [await open(url), await open(url)];
    const waits = async (): Promise<boolean> => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory'`.execute(first.db);
      return rows.length > 0;
    };
    const others = async (tx: Tx): Promise<number> =>
      (await tx.selectFrom('counters').select('name').where('name', '!=', 'event-seq').execute()).length;
    const add = async (tx: Tx, name: string): Promise<void> => {
      if ((await others(tx)) === 0) await tx.insertInto('counters').values({ name, value: 1 }).execute();
    };
    const begun = Promise.withResolvers<void>();
    const before = one.transaction(async (tx) => {
      begun.resolve();
      while (!(await waits())) await systemClock.sleep(10);
      await add(tx, 'one');
    });
    await begun.promise;
    await two.transaction((tx) => add(tx, 'two'));
    await before;
    assert.equal(await first.transaction(others), 1);
    const { rows } = await one.transaction((tx) => sql<object>`show synchronous_commit`.execute(tx));
    assert.deepEqual(rows, [{ synchronousCommit: 'on' }]);
  });

  test('a connection whose other end is gone is noticed', async () => {
    const socketPath = `${new URL(await newUrl()).searchParams.get('host')}/.s.PGSQL.5432`;
    const proxy = createServer((client) => {
      const server = connect(socketPath);
      client.on('error', () => server.destroy()).pipe(server);
      server.on('error', () => client.destroy()).pipe(client);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    closing.push(() => new Promise((resolve) => proxy.close(resolve)));
    const { port } = proxy.address() as AddressInfo;
    const store = await open(`postgres://postgres@127.0.0.1:${port}/${new URL(await newUrl()).pathname.slice(1)}`);
    await store.transaction(happen);
    // As the kernel has it: the remote port, the kind of timer (2: keepalive) and when it is due, in hundredths of a second.
    const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
    const timers = rows.filter((row) => row[2]?.endsWith(remote) && row[3] === '01').map((row) => row[5]!.split(':'));
    assert.ok(timers.length >= 1);
    for (const [kind, due] of timers) assert.ok(kind === '02' && Number.parseInt(due!, 16) <= 1000, `${kind} ${due}`);
  });
});
