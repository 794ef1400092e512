/**
 * Limits of rate towards VMs: a QoS row of linux-htb with its default queue for each limited port. These rows are roots of the
 * database: nobody removes them with their port, so they are removed here.
 */
import type { Operation } from '@kvasir/ovs/ovsdb-operations.ts';
import { map, named, optionalNumber, record, type Row, type Uuid, uuid, uuids } from '@kvasir/ovs/ovsdb-values.ts';
import type { CurrentRows, Found } from './current.ts';
import type { Names, Ref } from './operations.ts';
import { changedColumns } from './same-value.ts';
import type { WantedBridge, WantedQos } from './wanted.ts';

const mark = 'kvasir-qos';

export interface QosOperations {
  readonly operations: readonly Operation[];
  /** Port name -> its QoS row. */
  readonly refs: ReadonlyMap<string, Ref>;
  /** To come after the ports have let go. */
  readonly removals: readonly Operation[];
}

export function qosOperations(current: CurrentRows, wanted: readonly WantedBridge[], names: Names): QosOperations {
  const operations: Operation[] = [];
  const refs = new Map<string, Ref>();
  const kept = new Set<string>();
  for (const { name, qos } of wanted.flatMap(({ ports }) => ports)) {
    if (qos === null) continue;
    const found = current.all('QoS').find(({ row }) => record(row.external_ids)[mark] === name);
    const queue = found === undefined ? undefined : queueOf(current, found);
    if (found === undefined || queue === undefined) {
      const made = insertQos(name, qos, names);
      operations.push(...made.operations);
      refs.set(name, made.ref);
      continue;
    }
    kept.add(found.id).add(queue.id);
    refs.set(name, uuid(found.id));
    for (const [table, { id, row }, columns] of [
      ['QoS', found, qosColumns(qos)],
      ['Queue', queue, queueColumns(qos)],
    ] as const) {
      const changes = changedColumns(row, columns);
      if (changes !== null) operations.push({ op: 'update', table, where: [['_uuid', '==', uuid(id)]], row: changes });
    }
  }
  const removals = (['QoS', 'Queue'] as const).flatMap((table) =>
    current
      .all(table)
      .filter(({ id, row }) => record(row.external_ids)[mark] !== undefined && !kept.has(id))
      .map(({ id }): Operation => ({ op: 'delete', table, where: [['_uuid', '==', uuid(id)]] })),
  );
  return { operations, refs, removals };
}

function queueOf(current: CurrentRows, qos: Found): Found | undefined {
  const queues = qos.row.queues;
  if (!Array.isArray(queues) || queues[0] !== 'map') return undefined;
  const pairs = queues[1] as readonly (readonly [number, Uuid])[];
  const id = pairs.find(([number]) => optionalNumber(number) === 0)?.[1];
  const [queueId] = uuids(id);
  return queueId === undefined ? undefined : current.byId('Queue', queueId);
}

function insertQos(
  port: string,
  qos: WantedQos,
  names: Names,
): { readonly operations: Operation[]; readonly ref: Ref } {
  const [queue, row] = [names.next(), names.next()];
  const ids = map({ [mark]: port });
  const queues = ['map', [[0, named(queue)]]] as const;
  return {
    operations: [
      { op: 'insert', table: 'Queue', 'uuid-name': queue, row: { ...queueColumns(qos), external_ids: ids } },
      { op: 'insert', table: 'QoS', 'uuid-name': row, row: { ...qosColumns(qos), queues, external_ids: ids } },
    ],
    ref: named(row),
  };
}

function qosColumns(qos: WantedQos): Row {
  return { type: 'linux-htb', other_config: map({ 'max-rate': String(qos.maxBitsPerSecond) }) };
}

function queueColumns(qos: WantedQos): Row {
  return { other_config: map({ 'max-rate': String(qos.maxBitsPerSecond), burst: String(qos.burstBits) }) };
}
