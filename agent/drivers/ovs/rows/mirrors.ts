/** Mirrors of our bridges. A mirror that differs is made anew: it keeps nothing but counters. */
import type { Operation } from '@kvasir/ovs/ovsdb-operations.ts';
import { named, type Row, set, uuid, uuids } from '@kvasir/ovs/ovsdb-values.ts';
import type { CurrentRows, Found } from './current.ts';
import { mutateSet, type Names, type Ref, type Refs } from './operations.ts';
import { changedColumns } from './same-value.ts';
import type { WantedMirror } from './wanted.ts';

export const mirrorPrefix = 'kvasir-';

/** @param bridge the row, or the name of the row that this transaction makes */
export function mirrorOperations(
  current: CurrentRows,
  bridge: Found | { readonly name: string },
  wanted: readonly WantedMirror[],
  ports: Refs,
  names: Names,
): Operation[] {
  const operations: Operation[] = [];
  const where = [['_uuid', '==', 'name' in bridge ? named(bridge.name) : uuid(bridge.id)]] as const;
  const existing = 'name' in bridge ? [] : uuids(bridge.row.mirrors).flatMap((id) => current.byId('Mirror', id) ?? []);
  const kept = new Set<string>();
  for (const mirror of wanted) {
    const row = mirrorColumns(mirror, ports);
    if (row === null) continue;
    const there = existing.find((item) => item.row.name === mirror.name);
    if (there !== undefined && changedColumns(there.row, row) === null) {
      kept.add(there.id);
      continue;
    }
    const id = names.next();
    operations.push(
      { op: 'insert', table: 'Mirror', 'uuid-name': id, row: { name: mirror.name, ...row } },
      mutateSet('Bridge', where, 'mirrors', 'insert', named(id)),
    );
  }
  for (const { id, row } of existing) {
    if (kept.has(id) || !String(row.name).startsWith(mirrorPrefix)) continue;
    operations.push(mutateSet('Bridge', where, 'mirrors', 'delete', uuid(id)));
  }
  return operations;
}

function mirrorColumns(mirror: WantedMirror, ports: Refs): Row | null {
  const refs = (list: readonly string[]): readonly Ref[] =>
    list.map((name) => ports.get(name)).filter((ref) => ref !== undefined);
  const output = ports.get(mirror.output);
  const [from, to] = [refs(mirror.fromPorts), refs(mirror.toPorts)];
  if (output === undefined || from.length + to.length === 0) return null;
  return {
    select_src_port: set(from),
    select_dst_port: set(to),
    select_all: false,
    select_vlan: set(mirror.vlan === null ? [] : [mirror.vlan]),
    output_port: output,
    output_vlan: set([]),
  };
}
