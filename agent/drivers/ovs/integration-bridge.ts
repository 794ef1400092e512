/**
 * What the driver keeps in the switch's database: the integration bridge, its ports, and (in the bridge's external_ids) the
 * networks served. The database is the only memory: an agent that starts anew finds everything here. Rows carry the ids of
 * NIC, VM and network; a port without `iface-id` is not ours and never touched.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { OvsdbClient } from '@kvasir/ovs/ovsdb-client.ts';
import { type Operation, OvsdbError } from '@kvasir/ovs/ovsdb-operations.ts';
import {
  map,
  named,
  optionalNumber,
  optionalString,
  record,
  type Row,
  rowId,
  uuid,
  uuids,
} from '@kvasir/ovs/ovsdb-values.ts';
import type { Port } from '../network.ts';

export interface SwitchPort extends Port {
  readonly device: string;
  readonly macAddress: string;
}

export interface BridgeOptions {
  readonly name: string;
  readonly datapathType: 'system' | 'netdev';
  readonly uplinkBridge?: string;
}

const networksKey = 'kvasir-networks';

export class IntegrationBridge {
  readonly #db: OvsdbClient;
  readonly #options: BridgeOptions;

  constructor(db: OvsdbClient, options: BridgeOptions) {
    this.#db = db;
    this.#options = options;
  }

  /** Makes the bridge if it is missing. Answers the datapath that it has: an existing bridge keeps its own. */
  async ensure(): Promise<{ datapathType: string }> {
    const row = (await this.#bridge()) ?? (await this.#create());
    await this.#joinUplink();
    return { datapathType: typeof row.datapath_type === 'string' ? row.datapath_type : '' };
  }

  async networks(): Promise<ReadonlySet<string>> {
    const list = record((await this.#bridge())?.external_ids)[networksKey] ?? '';
    return new Set(list.split(' ').filter((id) => id !== ''));
  }

  async setNetworks(ids: readonly string[]): Promise<void> {
    await this.#db.transact([
      {
        op: 'mutate',
        table: 'Bridge',
        where: [['name', '==', this.#options.name]],
        mutations: [
          ['external_ids', 'delete', ['set', [networksKey]]],
          ['external_ids', 'insert', map({ [networksKey]: [...ids].sort().join(' ') })],
        ],
      },
    ]);
  }

  /** The ports of ours, by device name. */
  async ports(): Promise<Map<string, SwitchPort>> {
    const [bridges, ports, interfaces] = await this.#db.transact([
      { op: 'select', table: 'Bridge', where: [['name', '==', this.#options.name]], columns: ['ports'] },
      { op: 'select', table: 'Port', where: [], columns: ['_uuid', 'interfaces'] },
      { op: 'select', table: 'Interface', where: [], columns: ['_uuid', 'name', 'external_ids'] },
    ]);
    const here = new Set(uuids(bridges?.rows?.[0]?.ports));
    const interfaceIds = new Set(
      (ports?.rows ?? []).filter((row) => here.has(rowId(row))).flatMap((row) => uuids(row.interfaces)),
    );
    const found = (interfaces?.rows ?? [])
      .filter((row) => interfaceIds.has(rowId(row)))
      .flatMap((row) => readPort(row));
    return new Map(found.map((port) => [port.device, port]));
  }

  /** Plugs the device in, with its ids, in one transaction; returns when the switch serves it. */
  async plug(port: SwitchPort): Promise<void> {
    await this.#refuseForeign(port);
    await this.#db.commit([
      ...unplugOperations(await this.#holders(port.device)),
      {
        op: 'insert',
        table: 'Interface',
        'uuid-name': 'interface',
        row: { name: port.device, type: '', external_ids: externalIds(port) },
      },
      {
        op: 'insert',
        table: 'Port',
        'uuid-name': 'port',
        row: { name: port.device, interfaces: named('interface') },
      },
      {
        op: 'mutate',
        table: 'Bridge',
        where: [['name', '==', this.#options.name]],
        mutations: [['ports', 'insert', named('port')]],
      },
    ]);
    await this.requireServed(port.device);
  }

  /** Takes the device out of whichever bridge has it; returns when the switch let go of it. */
  async unplug(device: string): Promise<void> {
    const operations = unplugOperations(await this.#holders(device));
    if (operations.length > 0) await this.#db.commit(operations);
  }

  /** Throws `host-failed` in the switch's own words when it does not serve the device. */
  async requireServed(device: string): Promise<void> {
    const [result] = await this.#db.transact([
      { op: 'select', table: 'Interface', where: [['name', '==', device]], columns: ['ofport', 'error'] },
    ]);
    const row = result?.rows?.[0];
    if ((optionalNumber(row?.ofport) ?? -1) > 0) return;
    const words = optionalString(row?.error) ?? 'it has no port number';
    throw new KvasirError('host-failed', { reason: `Open vSwitch does not serve ${device}: ${words}` });
  }

  /** A second NIC whose name digests to the same device must not take over the first one's port. */
  async #refuseForeign(port: SwitchPort): Promise<void> {
    const there = (await this.ports()).get(port.device);
    if (there === undefined || there.nicId === port.nicId) return;
    throw new KvasirError('host-failed', { reason: `the device name ${port.device} is taken by NIC ${there.nicId}` });
  }

  async #bridge(): Promise<Row | undefined> {
    const [result] = await this.#db.transact([
      {
        op: 'select',
        table: 'Bridge',
        where: [['name', '==', this.#options.name]],
        columns: ['_uuid', 'datapath_type', 'external_ids'],
      },
    ]);
    return result?.rows?.[0];
  }

  /** `standalone`: forwards like a plain switch, which is what a flat network is. */
  async #create(): Promise<Row> {
    const { name, datapathType } = this.#options;
    const create: Operation[] = [
      { op: 'insert', table: 'Interface', 'uuid-name': 'interface', row: { name, type: 'internal' } },
      { op: 'insert', table: 'Port', 'uuid-name': 'port', row: { name, interfaces: named('interface') } },
      {
        op: 'insert',
        table: 'Bridge',
        'uuid-name': 'bridge',
        row: { name, datapath_type: datapathType, fail_mode: 'standalone', ports: named('port') },
      },
      {
        op: 'mutate',
        table: 'Open_vSwitch',
        where: [],
        mutations: [['bridges', 'insert', named('bridge')]],
      },
    ];
    try {
      await this.#db.commit(create);
    } catch (error) {
      // Somebody else made it between the look and the insert.
      if (!(error instanceof OvsdbError) || error.code !== 'constraint violation') throw error;
    }
    const row = await this.#bridge();
    if (row === undefined) throw new KvasirError('host-failed', { reason: `the bridge ${name} cannot be made` });
    return row;
  }

  async #joinUplink(): Promise<void> {
    const { name, uplinkBridge } = this.#options;
    if (uplinkBridge === undefined) return;
    const ends = [
      [name, 'kv-int-phy', 'kv-phy-int'],
      [uplinkBridge, 'kv-phy-int', 'kv-int-phy'],
    ] as const;
    for (const [bridge, port, peer] of ends) {
      if ((await this.#holders(port)).length > 0) continue;
      await this.#db.transact([
        {
          op: 'insert',
          table: 'Interface',
          'uuid-name': 'interface',
          row: { name: port, type: 'patch', options: map({ peer }) },
        },
        { op: 'insert', table: 'Port', 'uuid-name': 'port', row: { name: port, interfaces: named('interface') } },
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['name', '==', bridge]],
          mutations: [['ports', 'insert', named('port')]],
        },
      ]);
    }
  }

  /** Bridges that hold a port of this name, with the port's id. */
  async #holders(device: string): Promise<{ bridgeId: string; portId: string }[]> {
    const [ports, bridges] = await this.#db.transact([
      { op: 'select', table: 'Port', where: [['name', '==', device]], columns: ['_uuid'] },
      { op: 'select', table: 'Bridge', where: [], columns: ['_uuid', 'ports'] },
    ]);
    const portIds = new Set((ports?.rows ?? []).map(rowId));
    return (bridges?.rows ?? []).flatMap((bridge) =>
      uuids(bridge.ports)
        .filter((portId) => portIds.has(portId))
        .map((portId) => ({ bridgeId: rowId(bridge), portId })),
    );
  }
}

function unplugOperations(holders: readonly { bridgeId: string; portId: string }[]): Operation[] {
  return holders.map(({ bridgeId, portId }) => ({
    op: 'mutate',
    table: 'Bridge',
    where: [['_uuid', '==', uuid(bridgeId)]],
    mutations: [['ports', 'delete', uuid(portId)]],
  }));
}

function externalIds(port: SwitchPort) {
  return map({
    'iface-id': port.nicId,
    'attached-mac': port.macAddress,
    'kvasir-vm': port.vmId,
    'kvasir-network': port.networkId,
  });
}

function readPort(row: Row): SwitchPort[] {
  const ids = record(row.external_ids);
  const nicId = ids['iface-id'];
  const vmId = ids['kvasir-vm'];
  const networkId = ids['kvasir-network'];
  if (nicId === undefined || vmId === undefined || networkId === undefined || typeof row.name !== 'string') return [];
  return [{ device: row.name, nicId, vmId, networkId, macAddress: ids['attached-mac'] ?? '' }];
}
