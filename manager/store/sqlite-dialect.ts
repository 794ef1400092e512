/**
 * Kysely's dialect for better-sqlite3, with two connections on one file. Reads outside a transaction go to a read-only
 * connection and see the last commit; a transaction takes the one writing connection (BEGIN IMMEDIATE) and queues behind
 * the others. So a write outside a transaction is refused, and a transaction never waits for itself.
 */
import SqliteDatabase, { type Database, type Statement } from 'better-sqlite3';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { Mutex } from './mutex.ts';

export function sqliteDialect(path: string): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new SqliteDriver(path),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new HiddenParameters(),
  };
}

/**
 * SQLite looks into the values of parameters when it plans, for whatever is compared with a column without an index and for limits, and
 * then plans the statement anew each time that it is bound: 25 us instead of 5 for a look-up by key. `likely` gives its argument
 * back and costs nothing, but is not looked into.
 */
class HiddenParameters extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return 'likely(?)';
  }
}

/** A connection with its prepared statements: preparing costs more than running. */
class Prepared {
  readonly #database: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(database: Database) {
    this.#database = database;
  }

  statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= 1000) this.#statements.clear();
    const made = this.#database.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }
}

/** In KiB when negative, taken as needed. Rows have random ids, so inserts touch pages all over; the default holds 2 MiB. */
const cacheSize = 'cache_size = -65536';

class SqliteDriver implements Driver {
  readonly #path: string;
  readonly #writing = new Mutex();
  #writer: Prepared | undefined;
  #reader: Prepared | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async init(): Promise<void> {
    const writer = new SqliteDatabase(this.#path, { timeout: 10_000 });
    writer.pragma('journal_mode = WAL');
    writer.pragma('synchronous = FULL');
    writer.pragma('foreign_keys = ON');
    writer.pragma(cacheSize);
    const reader = new SqliteDatabase(this.#path, { timeout: 10_000 });
    reader.pragma(cacheSize);
    reader.pragma('query_only = ON');
    this.#writer = new Prepared(writer);
    this.#reader = new Prepared(reader);
  }

  async acquireConnection(): Promise<SqliteConnection> {
    return new SqliteConnection(this.#reader!);
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    const release = await this.#writing.acquire();
    try {
      this.#writer!.exec('begin immediate');
    } catch (error) {
      release();
      throw error;
    }
    connection.write(this.#writer!, release);
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    this.#writer!.exec('commit');
    connection.endTransaction(this.#reader!);
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    try {
      this.#writer!.exec('rollback');
    } finally {
      connection.endTransaction(this.#reader!);
    }
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    const release = await this.#writing.acquire();
    this.#reader?.close();
    this.#writer?.close();
    release();
  }
}

class SqliteConnection implements DatabaseConnection {
  #prepared: Prepared;
  #release: (() => void) | undefined;

  constructor(reader: Prepared) {
    this.#prepared = reader;
  }

  write(writer: Prepared, release: () => void): void {
    this.#prepared = writer;
    this.#release = release;
  }

  endTransaction(reader: Prepared): void {
    this.#prepared = reader;
    this.#release?.();
    this.#release = undefined;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#prepared.statement(query.sql);
    if (statement.reader) return { rows: statement.all(...query.parameters) as R[] };
    const { changes } = statement.run(...query.parameters);
    return { rows: [], numAffectedRows: BigInt(changes) };
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    for (const row of this.#prepared.statement(query.sql).iterate(...query.parameters)) yield { rows: [row as R] };
  }
}
