/**
 * Opens the state: SQLite in a file (the embedded default) or PostgreSQL, with the same schema and the same promises.
 *
 * One writer at a time on both: SQLite by its nature, PostgreSQL by an advisory lock taken first in every transaction.
 * Whoever writes has therefore seen all that was committed before (checks like quota or capacity need no further locks),
 * and events get their numbers in the order of commits. Reads outside transactions never wait for a writer. The price is
 * that writes queue; a control plane writes some hundred times a second at most, and each transaction is short. Those that
 * wait share a commit (`writer-queue.ts`).
 */
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { CamelCasePlugin, Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
import { Pool, types } from 'pg';
import { systemIds } from '../ids.ts';
import { migrate } from './migrate.ts';
import { notification, PostgresWakeUps } from './postgres-wakeups.ts';
import type { Schema } from './schema.ts';
import { sqliteDialect } from './sqlite-dialect.ts';
import { WriterQueue } from './writer-queue.ts';

export type DatabaseKind = 'sqlite' | 'postgres';

/** A transaction: what every write asks for. */
export type Tx = Transaction<Schema>;
/** For reads: the database or a transaction. */
export type Executor = Kysely<Schema>;

export interface Store {
  readonly kind: DatabaseKind;
  /** For reads only; writes outside a transaction are refused. */
  readonly db: Executor;
  /**
   * Runs `work` as the only writer and commits. Throws what `work` throws, with nothing written. `work` may run again
   * after a serialization failure, so it must do nothing but reads and writes of `tx`.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * `listener` is called after each commit of this process, and on PostgreSQL soon after those of others: only to wake
   * somebody who polls anyway. The answer ends it.
   */
  onCommit(listener: () => void): () => void;
  close(): Promise<void>;
}

/** `sqlite:/path/to/file` or `postgres://user@host:port/name`; creates and migrates the schema when needed. */
export async function openDatabase(url: string, clock: Clock = systemClock): Promise<Store> {
  const kind = kindOf(url);
  const db = new Kysely<Schema>({
    dialect: kind === 'sqlite' ? sqliteDialect(url.slice('sqlite:'.length)) : postgresDialect(url),
    plugins: [new CamelCasePlugin()],
  });
  const store = new OpenStore(kind, db);
  try {
    await migrate(store);
    if (kind === 'postgres') store.listen(url, clock);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

function kindOf(url: string): DatabaseKind {
  if (url.startsWith('sqlite:')) return 'sqlite';
  if (/^postgres(ql)?:\/\//.test(url)) return 'postgres';
  throw new Error('The database address must start with sqlite: or postgres://');
}

function postgresDialect(url: string): PostgresDialect {
  const int8 = 20;
  const numeric = 1700;
  const asNumber = (oid: number): boolean => oid === int8 || oid === numeric;
  const pool = new Pool({
    connectionString: url,
    max: 10,
    // Whoever hangs or loses its machine within a write still holds the lock that all of them take.
    idle_in_transaction_session_timeout: longestPauseInWriteMs,
    // Else an answer of a server that lost its machine is waited for as long as this manager lives.
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    types: { getTypeParser: (oid, format) => (asNumber(oid) ? Number : types.getTypeParser(oid, format)) },
  });
  // A connection may break at any time, also between two queries of a write: the next query fails, or takes a new one.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({ pool });
}

/** Between two statements of a write: a manager that took so long no longer leads. */
const longestPauseInWriteMs = 10_000;
const keepAliveMs = 10_000;

/** Part of a statement: the commit is on disk when it is answered, also where that is not the usual setting. */
const onDisk = sql`set_config('synchronous_commit',
  case current_setting('synchronous_commit') when 'off' then 'on' else current_setting('synchronous_commit') end, true)`;

/** Any number that nothing else on the database server uses: "kvasir" on a phone's keys. */
const writerLock = 582_747;

class OpenStore implements Store {
  readonly kind: DatabaseKind;
  readonly db: Kysely<Schema>;
  readonly #listeners = new Set<() => void>();
  readonly #writers: WriterQueue;
  readonly #sender = systemIds.uuid();
  #wakeUps: PostgresWakeUps | undefined;

  constructor(kind: DatabaseKind, db: Kysely<Schema>) {
    this.kind = kind;
    this.db = db;
    // Each statement must see what was committed while the lock was waited for.
    const transaction = db.transaction().setIsolationLevel('read committed');
    const transact = (work: (tx: Tx) => Promise<void>): Promise<void> =>
      transaction.execute(async (tx) => {
        if (kind === 'postgres') {
          await sql`select pg_advisory_xact_lock(${writerLock}), ${notification(this.#sender)}, ${onDisk}`.execute(tx);
        }
        await work(tx);
      });
    this.#writers = new WriterQueue(transact, () => this.#tell());
  }

  listen(url: string, clock: Clock): void {
    this.#wakeUps = new PostgresWakeUps({ url, clock, sender: this.#sender, wake: () => this.#tell() });
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return await this.#writers.write(work);
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#wakeUps?.close();
    await this.db.destroy();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
