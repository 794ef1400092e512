/** Equality of database values whatever the order of sets and maps, and whether a single member comes without its set. */
import { atoms, record, type Row, type Value } from '@kvasir/ovs/ovsdb-values.ts';

/** The columns of `wanted` that `row` has otherwise; null when there are none. */
export function changedColumns(row: Row, wanted: Row): Row | null {
  const changes = Object.entries(wanted).filter(([column, value]) => !sameValue(row[column], value));
  return changes.length === 0 ? null : Object.fromEntries(changes);
}

export function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: Value | undefined): string {
  if (Array.isArray(value) && value[0] === 'map') {
    return JSON.stringify(Object.entries(record(value)).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return JSON.stringify(
    atoms(value)
      .map((atom) => JSON.stringify(atom))
      .sort(),
  );
}
