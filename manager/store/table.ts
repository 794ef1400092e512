/**
 * What all tables can do: a table is declared once with its row type and columns, and repositories add only what is their
 * own. Rows come back as plain objects with the declared types.
 */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { type Expression, type Kysely, type RawBuilder, sql, type SqlBool } from 'kysely';
import {
  type AnyColumns,
  type Columns,
  decodeRow,
  encodeRow,
  encodeValue,
  RowReader,
  type StoredRow,
} from './columns.ts';
import { executeShape, type StoredValues } from './compiled-queries.ts';
import { violationOf } from './constraint.ts';
import { cursorAfter, readCursor } from './cursor.ts';
import type { Executor, Tx } from './database.ts';

/** Equality with a value, with one of several values, or with null; undefined: no condition. */
export type Where<Row> = { readonly [K in keyof Row]?: Row[K] | readonly Row[K][] };

export interface ListRequest<Row> {
  readonly where?: Where<Row>;
  /** Further conditions, in SQL (snake_case names). */
  readonly matching?: readonly Expression<SqlBool>[];
  /** A column, with `-` in front for descending; default: the table's key. */
  readonly sort?: string;
  /** 1 to 1000; default 100. */
  readonly limit?: number;
  /** `nextCursor` of the page before, with the same sort. */
  readonly cursor?: string;
}

export interface RowPage<Row> {
  readonly items: Row[];
  readonly nextCursor: string | null;
}

export interface TableSpec<Row> {
  /** Key in `Schema`. */
  readonly table: string;
  /** What an error calls one of its rows: "volume". */
  readonly kind: string;
  readonly columns: Columns<Row>;
  /** A column that is unique over the table; default `id`. */
  readonly key?: keyof Row & string;
  /** Sortable columns that may be null; null sorts as the smallest value. */
  readonly nullableSorts?: readonly (keyof Row & string)[];
}

interface Keyed {
  readonly id?: string;
  readonly name?: string;
}

export class Table<Row extends object> {
  readonly table: string;
  readonly kind: string;
  readonly columns: Columns<Row>;
  readonly key: string;
  readonly #columns: AnyColumns;
  readonly #nullableSorts: readonly string[];
  readonly #reader: RowReader<Row>;

  constructor(spec: TableSpec<Row>) {
    this.table = spec.table;
    this.kind = spec.kind;
    this.columns = spec.columns;
    this.key = spec.key ?? 'id';
    this.#columns = spec.columns;
    this.#nullableSorts = spec.nullableSorts ?? [];
    this.#reader = new RowReader(spec.columns);
  }

  /** Throws `name-taken` when a unique column is taken. */
  async insert(tx: Tx, row: Row): Promise<Row> {
    const stored = encodeRow(this.#columns, row as Record<string, unknown>);
    const shape = `insert ${this.table} ${Object.keys(stored).join()}`;
    await this.#guarded(row, () =>
      executeShape(tx, shape, Object.values(stored), () => untyped(tx).insertInto(this.table).values(stored)),
    );
    return row;
  }

  /** All in one statement: at most some hundred, all with the same columns. */
  async insertAll(tx: Tx, rows: readonly Row[]): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const stored = rows.map((row) => encodeRow(this.#columns, row as Record<string, unknown>));
    await this.#guarded(first, () => untyped(tx).insertInto(this.table).values(stored).execute());
  }

  /** The one row that matches, or undefined. */
  async find(ex: Executor, where: Where<Row>): Promise<Row | undefined> {
    const { shape, values } = this.#shape(where);
    const { rows } = await executeShape<StoredRow>(ex, `find ${this.table} ${shape}`, values, () =>
      untyped(ex).selectFrom(this.table).selectAll().where(this.#matches(where)).limit(sql.lit(1)),
    );
    return rows[0] && this.#reader.read(rows[0]);
  }

  /** The row with this key; throws `not-found`. */
  async get(ex: Executor, id: string): Promise<Row> {
    const row = await this.find(ex, { [this.key]: id } as Where<Row>);
    if (row === undefined) throw new KvasirError('not-found', { kind: this.kind, id });
    return row;
  }

  /** All rows that match, in the order of `sort` (default: the key). For sets that are small by nature. */
  async select(ex: Executor, where: Where<Row> = {}, sort?: keyof Row & string): Promise<Row[]> {
    const by = sort ?? this.key;
    const { shape, values } = this.#shape(where);
    const { rows } = await executeShape<StoredRow>(ex, `select ${this.table} ${by} ${shape}`, values, () =>
      untyped(ex).selectFrom(this.table).selectAll().where(this.#matches(where)).orderBy(by),
    );
    return rows.map((stored) => this.#reader.read(stored));
  }

  async count(ex: Executor, where: Where<Row> = {}, matching?: readonly Expression<SqlBool>[]): Promise<number> {
    const query = untyped(ex)
      .selectFrom(this.table)
      .select(sql<number>`count(*)`.as('count'))
      .where(this.#matches(where, matching));
    return (await query.executeTakeFirstOrThrow()).count;
  }

  /**
   * Changes one versioned row: revision grows, `updatedAt` becomes `now`. With `revision` only when the row still has it,
   * else `stale-revision`. Throws `not-found`, `name-taken`.
   */
  async update(
    tx: Tx,
    id: string,
    changes: Partial<Row>,
    at: { readonly now: number; readonly revision?: number },
  ): Promise<Row> {
    const stored = {
      ...encodeRow(this.#columns, changes),
      revision: sql<number>`revision + 1`,
      updatedAt: at.now,
    };
    const where = { [this.key]: id, revision: at.revision } as unknown as Where<Row>;
    const update = untyped(tx).updateTable(this.table).set(stored).where(this.#matches(where)).returningAll();
    const updated = await this.#guarded(changes, () => update.executeTakeFirst());
    if (updated !== undefined) return this.decode(updated);
    const current = (await this.get(tx, id)) as { readonly revision?: number };
    throw new KvasirError('stale-revision', { kind: this.kind, revision: current.revision ?? 0 });
  }

  /** Sets columns of all rows that match; answers how many. For tables without revision, or columns that no user edits. */
  async set(tx: Tx, where: Where<Row>, changes: Partial<Row>): Promise<number> {
    const stored = encodeRow(this.#columns, changes);
    const { shape, values } = this.#shape(where);
    const result = await this.#guarded(changes, () =>
      executeShape(
        tx,
        `set ${this.table} ${Object.keys(stored).join()} ${shape}`,
        [...Object.values(stored), ...values],
        () => untyped(tx).updateTable(this.table).set(stored).where(this.#matches(where)),
      ),
    );
    return Number(result.numAffectedRows);
  }

  /** Deletes all rows that match; answers how many. Throws `in-use` when another row refers to one. */
  async remove(tx: Tx, where: Where<Row>): Promise<number> {
    const { shape, values } = this.#shape(where);
    const result = await this.#guarded(where, () =>
      executeShape(tx, `remove ${this.table} ${shape}`, values, () =>
        untyped(tx).deleteFrom(this.table).where(this.#matches(where)),
      ),
    );
    return Number(result.numAffectedRows);
  }

  /** Inserts, or sets all columns of the row with the same `keys`. */
  async put(tx: Tx, row: Row, keys: readonly (keyof Row & string)[]): Promise<void> {
    const where = Object.fromEntries(keys.map((column) => [column, row[column]])) as Where<Row>;
    if ((await this.set(tx, where, row)) === 0) await this.insert(tx, row);
  }

  /** One page, by keyset: rows inserted or removed meanwhile neither repeat nor hide others. */
  async list(ex: Executor, request: ListRequest<Row> = {}): Promise<RowPage<Row>> {
    const sort = request.sort ?? this.key;
    const descending = sort.startsWith('-');
    const column = descending ? sort.slice(1) : sort;
    if (!(column in this.columns)) throw invalidField('/query/sort', `cannot be ${column}`);
    const limit = Math.min(request.limit ?? 100, 1000);
    const order = descending ? 'desc' : 'asc';
    const value = this.#sortable(column);
    let query = untyped(ex)
      .selectFrom(this.table)
      .selectAll()
      .where(this.#matches(request.where ?? {}, request.matching));
    if (request.cursor !== undefined) {
      const after = readCursor(request.cursor, sort);
      if (!this.#holds(column, after.value) || !this.#holds(this.key, after.key)) {
        throw invalidField('/query/cursor', 'is not a cursor of this list');
      }
      const key = sql.ref(this.key);
      const beyond = descending ? sql`<` : sql`>`;
      query = query.where(
        sql<SqlBool>`(${value} ${beyond} ${after.value} or (${value} = ${after.value} and ${key} ${beyond} ${after.key}))`,
      );
    }
    if (column !== this.key) query = query.orderBy(value, order);
    const stored = await query
      .orderBy(this.key, order)
      .limit(limit + 1)
      .execute();
    const last = stored.length > limit ? stored[limit - 1] : undefined;
    return {
      items: stored.slice(0, limit).map((row) => this.decode(row)),
      nextCursor: last ? cursorAfter(sort, last[column] ?? this.#smallest(column), last[this.key]!) : null,
    };
  }

  /** A row as Kysely answers it, for repositories with queries of their own. */
  decode(stored: object): Row {
    return decodeRow<Row>(this.#columns, stored as StoredRow);
  }

  #sortable(column: string): RawBuilder<string | number> {
    const ref = sql.ref<string | number>(column);
    if (!this.#nullableSorts.includes(column)) return sql`${ref}`;
    return sql`coalesce(${ref}, ${sql.lit(this.#smallest(column))})`;
  }

  /** A cursor comes from outside: PostgreSQL would fail on a value of another type. */
  #holds(column: string, value: string | number): boolean {
    const kind = this.#columns[column];
    if (kind === 'text') return typeof value === 'string';
    return kind === 'real' ? typeof value === 'number' : Number.isSafeInteger(value);
  }

  #smallest(column: string): string | number {
    return this.#columns[column] === 'text' ? '' : -1;
  }

  #matches(where: Where<Row>, matching: readonly Expression<SqlBool>[] = []): Expression<SqlBool> {
    const conditions: Expression<SqlBool>[] = [...matching];
    for (const [column, wanted] of Object.entries(where)) {
      if (wanted !== undefined) conditions.push(this.#condition(column, wanted));
    }
    if (conditions.length === 0) return sql<SqlBool>`1 = 1`;
    return sql<SqlBool>`(${sql.join(conditions, sql` and `)})`;
  }

  /** What of `#matches` stands in the SQL, and what only in its values. */
  #shape(where: Where<Row>): { readonly shape: string; readonly values: StoredValues } {
    let shape = '';
    const values: (string | number | null)[] = [];
    for (const [column, wanted] of Object.entries(where)) {
      if (wanted === undefined) continue;
      const several = Array.isArray(wanted);
      shape += `${column}${wanted === null ? ' null' : several ? ` in ${wanted.length}` : ''},`;
      if (several) for (const value of wanted as unknown[]) values.push(encodeValue(this.#columns, column, value));
      else if (wanted !== null) values.push(encodeValue(this.#columns, column, wanted));
    }
    return { shape, values };
  }

  #condition(column: string, wanted: unknown): Expression<SqlBool> {
    const ref = sql.ref(column);
    if (wanted === null) return sql<SqlBool>`${ref} is null`;
    if (!Array.isArray(wanted)) return sql<SqlBool>`${ref} = ${encodeValue(this.#columns, column, wanted)}`;
    if (wanted.length === 0) return sql<SqlBool>`1 = 0`;
    const values = wanted.map((value) => encodeValue(this.#columns, column, value));
    return sql<SqlBool>`${ref} in (${sql.join(values)})`;
  }

  async #guarded<T>(row: Keyed, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      const violation = violationOf(error);
      const name = row.name ?? row.id ?? '';
      if (violation === 'unique')
        throw new KvasirError('name-taken', { kind: this.kind, name }, undefined, { cause: error });
      if (violation === 'foreign-key') {
        throw new KvasirError('in-use', { kind: this.kind, name, by: 'something else' }, undefined, { cause: error });
      }
      throw error;
    }
  }
}

type AnyRow = Record<string, string | number | null>;

/** The table's name is data here, so Kysely's types cannot follow; the declared columns hold the types instead. */
function untyped(ex: Executor): Kysely<Record<string, AnyRow>> {
  return ex as unknown as Kysely<Record<string, AnyRow>>;
}
