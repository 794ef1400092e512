/**
 * The operations that bring the database from what it has to what is wanted, for one transaction; none when it is as wanted.
 * Pure. What Kvasir did not make stays as it is, but for the columns that say how our own rows forward.
 */
import type { Operation } from '@kvasir/ovs/ovsdb-operations.ts';
import { map, named, record, type Row, set, uuid } from '@kvasir/ovs/ovsdb-values.ts';
import type { CurrentRows, Found } from './current.ts';
import { mirrorOperations } from './mirrors.ts';
import { mutateSet, Names, type Ref, type Refs } from './operations.ts';
import { qosOperations } from './qos.ts';
import { changedColumns } from './same-value.ts';
import type { WantedBridge, WantedInterface, WantedPort } from './wanted.ts';

const ownMark = 'kvasir';

export function difference(current: CurrentRows, wanted: readonly WantedBridge[]): Operation[] {
  const operations: Operation[] = [];
  const names = new Names();
  const qos = qosOperations(current, wanted, names);
  operations.push(...qos.operations);
  for (const bridge of wanted) operations.push(...bridgeOperations(current, bridge, qos.refs, names));
  operations.push(...qos.removals);
  const wantedNames = new Set(wanted.map(({ name }) => name));
  for (const bridge of current.all('Bridge')) {
    if (wantedNames.has(String(bridge.row.name))) continue;
    if (record(bridge.row.external_ids)[ownMark] !== undefined) {
      operations.push(mutateSet('Open_vSwitch', [], 'bridges', 'delete', uuid(bridge.id)));
      continue;
    }
    // A bridge of the administrator that was joined for an uplink that is gone.
    for (const port of current.portsOf(bridge)) {
      const isPatch = current.interfacesOf(port).some(({ row }) => record(row.external_ids)[ownMark] === 'patch');
      if (!isPatch) continue;
      operations.push(mutateSet('Bridge', [['_uuid', '==', uuid(bridge.id)]], 'ports', 'delete', uuid(port.id)));
    }
  }
  return operations;
}

function bridgeOperations(current: CurrentRows, wanted: WantedBridge, qos: Refs, names: Names): Operation[] {
  const found = current.byName('Bridge', wanted.name);
  if (found === undefined && !wanted.own) return [];
  const operations: Operation[] = [];
  const refs = new Map<string, Ref>();
  const added: Ref[] = [];
  for (const port of wanted.ports) {
    const there = current.byName('Port', port.name);
    const place = there === undefined ? undefined : current.bridgeOf(there);
    const kept = there !== undefined && place?.id === found?.id && sameInterfaces(current, there, port);
    if (kept) {
      refs.set(port.name, uuid(there.id));
      operations.push(...keptPort(current, there, port, qos));
      continue;
    }
    if (there !== undefined && place !== undefined) {
      operations.push(mutateSet('Bridge', [['_uuid', '==', uuid(place.id)]], 'ports', 'delete', uuid(there.id)));
    }
    const insert = insertPort(port, qos, names);
    operations.push(...insert.operations);
    refs.set(port.name, insert.ref);
    added.push(insert.ref);
  }
  if (found === undefined) return [...operations, ...createBridge(current, wanted, added, refs, names)];

  const where = [['_uuid', '==', uuid(found.id)]] as const;
  if (added.length > 0) operations.push(mutateSet('Bridge', where, 'ports', 'insert', set(added)));
  const keep = new Set(wanted.ports.map(({ name }) => name));
  for (const port of current.portsOf(found)) {
    if (keep.has(String(port.row.name)) || !current.isOurs(port)) continue;
    operations.push(mutateSet('Bridge', where, 'ports', 'delete', uuid(port.id)));
  }
  if (wanted.own) {
    const columns: Row = { fail_mode: wanted.failMode, controller: set([]) };
    const changes = changedColumns(found.row, columns);
    if (changes !== null) operations.push({ op: 'update', table: 'Bridge', where, row: changes });
    if (record(found.row.external_ids)[ownMark] === undefined) {
      operations.push(mutateSet('Bridge', where, 'external_ids', 'insert', map({ [ownMark]: 'bridge' })));
    }
    operations.push(...mirrorOperations(current, found, wanted.mirrors, refs, names));
  }
  return operations;
}

function createBridge(
  current: CurrentRows,
  wanted: WantedBridge,
  ports: readonly Ref[],
  refs: Refs,
  names: Names,
): Operation[] {
  const local = insertPort(
    {
      name: wanted.name,
      interfaces: [{ name: wanted.name, type: 'internal', options: {}, externalIds: {}, number: null }],
      bond: null,
      qos: null,
    },
    new Map(),
    names,
  );
  const bridge = names.next();
  const row: Row = {
    name: wanted.name,
    datapath_type: wanted.datapathType,
    fail_mode: wanted.failMode,
    external_ids: map({ [ownMark]: 'bridge' }),
    ports: set([local.ref, ...ports]),
  };
  return [
    ...local.operations,
    { op: 'insert', table: 'Bridge', 'uuid-name': bridge, row },
    mutateSet('Open_vSwitch', [], 'bridges', 'insert', named(bridge)),
    ...mirrorOperations(current, { name: bridge }, wanted.mirrors, refs, names),
  ];
}

export function changesMirrors(operations: readonly Operation[]): boolean {
  return operations.some(
    (operation) =>
      (operation.op === 'insert' && operation.table === 'Mirror') ||
      (operation.op === 'mutate' && operation.mutations.some(([column]) => column === 'mirrors')),
  );
}

/** Takes a port out of whichever bridge has it. */
export function removePort(current: CurrentRows, name: string): Operation[] {
  const port = current.byName('Port', name);
  const bridge = port === undefined ? undefined : current.bridgeOf(port);
  if (port === undefined || bridge === undefined) return [];
  return [mutateSet('Bridge', [['_uuid', '==', uuid(bridge.id)]], 'ports', 'delete', uuid(port.id))];
}

function insertPort(
  port: WantedPort,
  qos: Refs,
  names: Names,
): { readonly operations: Operation[]; readonly ref: Ref } {
  const interfaces = port.interfaces.map((item) => ({ item, id: names.next() }));
  const id = names.next();
  const operations: Operation[] = interfaces.map(({ item, id: name }) => ({
    op: 'insert',
    table: 'Interface',
    'uuid-name': name,
    row: { name: item.name, ...interfaceColumns(item), external_ids: map(item.externalIds) },
  }));
  const row: Row = {
    name: port.name,
    interfaces: set(interfaces.map(({ id: name }) => named(name))),
    ...portColumns(port, qos),
  };
  operations.push({ op: 'insert', table: 'Port', 'uuid-name': id, row });
  return { operations, ref: named(id) };
}

function keptPort(current: CurrentRows, found: Found, wanted: WantedPort, qos: Refs): Operation[] {
  const operations: Operation[] = [];
  const changes = changedColumns(found.row, portColumns(wanted, qos));
  if (changes !== null) {
    operations.push({ op: 'update', table: 'Port', where: [['_uuid', '==', uuid(found.id)]], row: changes });
  }
  for (const there of current.interfacesOf(found)) {
    const item = wanted.interfaces.find(({ name }) => name === there.row.name);
    if (item === undefined) continue;
    const where = [['_uuid', '==', uuid(there.id)]] as const;
    const differing = changedColumns(there.row, interfaceColumns(item));
    if (differing !== null) operations.push({ op: 'update', table: 'Interface', where, row: differing });
    const ids = record(there.row.external_ids);
    if (Object.entries(item.externalIds).some(([key, value]) => ids[key] !== value)) {
      const row = { external_ids: map({ ...ids, ...item.externalIds }) };
      operations.push({ op: 'update', table: 'Interface', where, row });
    }
  }
  return operations;
}

function sameInterfaces(current: CurrentRows, found: Found, wanted: WantedPort): boolean {
  const there = current.interfacesOf(found).map(({ row }) => row.name);
  return there.length === wanted.interfaces.length && wanted.interfaces.every(({ name }) => there.includes(name));
}

/** VLANs are the flows' business: a tag set by somebody would change what a port sends. */
function portColumns(port: WantedPort, qos: Refs): Row {
  const ref = qos.get(port.name);
  return {
    tag: set([]),
    trunks: set([]),
    vlan_mode: set([]),
    qos: ref === undefined ? set([]) : ref,
    bond_mode: port.bond === null ? set([]) : port.bond.mode,
    lacp: port.bond === null ? set([]) : port.bond.lacp,
    other_config: port.bond?.lacp === 'active' ? map({ 'lacp-time': port.bond.fast ? 'fast' : 'slow' }) : map({}),
  };
}

function interfaceColumns(item: WantedInterface): Row {
  return {
    type: item.type,
    options: map(item.options),
    ofport_request: item.number ?? set([]),
    ingress_policing_rate: 0,
    mac: item.macAddress ?? set([]),
  };
}
