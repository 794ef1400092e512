/**
 * How the fields of a row lie in the database, the same on SQLite and PostgreSQL: text, whole numbers (also times, in
 * milliseconds), reals, flags as 0 or 1, and JSON as text. The only place where values are translated.
 */

/** The kind that a field's type asks for; a wrong or missing column does not compile. */
export type ColumnKind<T> = [NonNullable<T>] extends [boolean]
  ? 'flag'
  : [NonNullable<T>] extends [number]
    ? 'integer' | 'real'
    : [NonNullable<T>] extends [string]
      ? 'text'
      : 'json';

export type Columns<Row> = { readonly [K in keyof Row]-?: ColumnKind<Row[K]> };

type StoredValue<T> = [T] extends [boolean] ? number : [T] extends [number] ? number : string;
/** A row as Kysely sees it. */
export type Stored<Row> = {
  [K in keyof Row]: StoredValue<NonNullable<Row[K]>> | (null extends Row[K] ? null : never);
};

export type AnyColumns = Readonly<Record<string, 'flag' | 'integer' | 'real' | 'text' | 'json'>>;
export type StoredRow = Record<string, string | number | null>;

export function encodeValue(columns: AnyColumns, column: string, value: unknown): string | number | null {
  const kind = columns[column];
  if (kind === undefined) throw new Error(`There is no column ${column}`);
  if (value === null || value === undefined) return null;
  switch (kind) {
    case 'flag':
      return value === true ? 1 : 0;
    case 'json':
      return JSON.stringify(value);
    case 'integer':
    case 'real':
    case 'text':
      return value as string | number;
  }
}

/** Fields that are undefined are left out. */
export function encodeRow(columns: AnyColumns, row: Readonly<Record<string, unknown>>): StoredRow {
  const stored: StoredRow = {};
  for (const [column, value] of Object.entries(row)) {
    if (value !== undefined) stored[column] = encodeValue(columns, column, value);
  }
  return stored;
}

/** Whether any of `changes` says something else than the row. */
export function differs<Row extends object>(columns: Columns<Row>, row: Row, changes: Partial<Row>): boolean {
  const now = encodeRow(columns, row as Record<string, unknown>);
  const then = encodeRow(columns, changes);
  return Object.entries(then).some(([column, value]) => value !== now[column]);
}

/** A row with the database's own names. */
export class RowReader<Row> {
  readonly #columns: readonly { readonly name: string; readonly stored: string; readonly kind: string }[];

  constructor(columns: AnyColumns) {
    this.#columns = Object.entries(columns).map(([name, kind]) => ({ name, stored: storedName(name), kind }));
  }

  read(row: StoredRow): Row {
    const read: Record<string, unknown> = {};
    for (const { name, stored, kind } of this.#columns) {
      const value = row[stored];
      if (value === undefined) throw new Error(`There is no column ${stored}`);
      if (value === null) read[name] = null;
      else if (kind === 'flag') read[name] = value === 1;
      else if (kind === 'json') read[name] = JSON.parse(value as string);
      else read[name] = value;
    }
    return read as Row;
  }
}

function storedName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A row as Kysely answers it, with the names of the fields. */
export function decodeRow<Row>(columns: AnyColumns, stored: StoredRow): Row {
  const row: Record<string, unknown> = {};
  for (const column of Object.keys(columns)) {
    const value = stored[column] ?? null;
    if (value === null) row[column] = null;
    else if (columns[column] === 'flag') row[column] = value === 1;
    else if (columns[column] === 'json') row[column] = JSON.parse(value as string);
    else row[column] = value;
  }
  return row as Row;
}
