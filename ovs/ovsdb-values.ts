/** Values of OVSDB as JSON carries them (RFC 7047, 5.1), and what a program wants of them. */

export type Uuid = readonly ['uuid', string];
export type NamedUuid = readonly ['named-uuid', string];
export type Atom = string | number | boolean | Uuid | NamedUuid;
export type OvsdbSet = readonly ['set', readonly Atom[]];
export type OvsdbMap = readonly ['map', readonly (readonly [Atom, Atom])[]];
export type Value = Atom | OvsdbSet | OvsdbMap;
export type Row = Readonly<Record<string, Value>>;

export function uuid(id: string): Uuid {
  return ['uuid', id];
}

export function named(name: string): NamedUuid {
  return ['named-uuid', name];
}

export function set(atoms: readonly Atom[]): OvsdbSet {
  return ['set', atoms];
}

export function map(entries: Readonly<Record<string, string>>): OvsdbMap {
  return ['map', Object.entries(entries)];
}

/** The members of a column that holds any number of atoms; a single one comes without `set` around it. */
export function atoms(value: Value | undefined): readonly Atom[] {
  if (value === undefined) return [];
  if (isTagged(value, 'set')) return value[1] as readonly Atom[];
  return [value];
}

/** The ids in a column of references. */
export function uuids(value: Value | undefined): string[] {
  return atoms(value).flatMap((atom) => (isTagged(atom, 'uuid') ? [atom[1]] : []));
}

export function strings(value: Value | undefined): string[] {
  return atoms(value).filter((atom) => typeof atom === 'string');
}

/** The only string of an optional column, null when it is empty. */
export function optionalString(value: Value | undefined): string | null {
  return strings(value)[0] ?? null;
}

export function optionalNumber(value: Value | undefined): number | null {
  const atom = atoms(value)[0];
  return typeof atom === 'number' ? atom : null;
}

/** A column of string pairs (`external_ids`) as an object. */
export function record(value: Value | undefined): Record<string, string> {
  if (value === undefined || !isTagged(value, 'map')) return {};
  const pairs = value[1] as readonly (readonly [Atom, Atom])[];
  return Object.fromEntries(pairs.map(([key, item]) => [String(key), String(item)]));
}

/** The id of a row that was selected with `_uuid`. */
export function rowId(row: Row): string {
  const id = uuids(row._uuid)[0];
  if (id === undefined) throw new TypeError('the row was read without _uuid');
  return id;
}

function isTagged(value: Value, tag: string): value is Extract<Value, readonly unknown[]> {
  return Array.isArray(value) && value[0] === tag;
}
