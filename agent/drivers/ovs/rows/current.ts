/** What the switch's database has now: a live copy of the tables that Kvasir writes in, with look-ups by name. */
import type { MonitoredTables, OvsdbMonitor } from '@kvasir/ovs/ovsdb-monitor.ts';
import { optionalNumber, optionalString, record, type Row, uuids } from '@kvasir/ovs/ovsdb-values.ts';

export const watchedTables: MonitoredTables = {
  Open_vSwitch: ['bridges'],
  Bridge: ['name', 'ports', 'mirrors', 'fail_mode', 'datapath_type', 'controller', 'external_ids', 'datapath_id'],
  Port: [
    ...['name', 'interfaces', 'qos', 'tag', 'trunks', 'vlan_mode', 'bond_mode', 'lacp', 'other_config', 'external_ids'],
    'bond_active_slave',
  ],
  Interface: [
    ...['name', 'type', 'options', 'external_ids', 'ofport', 'ofport_request', 'error', 'link_state', 'lacp_current'],
    ...['ingress_policing_rate', 'ifindex', 'mac'],
  ],
  QoS: ['type', 'other_config', 'queues', 'external_ids'],
  Queue: ['other_config', 'external_ids'],
  Mirror: ['name', 'select_src_port', 'select_dst_port', 'select_all', 'select_vlan', 'output_port', 'output_vlan'],
};

export interface Found {
  readonly id: string;
  readonly row: Row;
}

export class CurrentRows {
  readonly #monitor: OvsdbMonitor;

  constructor(monitor: OvsdbMonitor) {
    this.#monitor = monitor;
  }

  all(table: string): Found[] {
    return [...this.#monitor.rows(table)].map(([id, row]) => ({ id, row }));
  }

  byId(table: string, id: string): Found | undefined {
    const row = this.#monitor.rows(table).get(id);
    return row === undefined ? undefined : { id, row };
  }

  byName(table: 'Bridge' | 'Port' | 'Interface', name: string): Found | undefined {
    return this.all(table).find(({ row }) => row.name === name);
  }

  portsOf(bridge: Found): Found[] {
    return uuids(bridge.row.ports).flatMap((id) => this.byId('Port', id) ?? []);
  }

  interfacesOf(port: Found): Found[] {
    return uuids(port.row.interfaces).flatMap((id) => this.byId('Interface', id) ?? []);
  }

  bridgeOf(port: Found): Found | undefined {
    return this.all('Bridge').find(({ row }) => uuids(row.ports).includes(port.id));
  }

  /** The OpenFlow number of an interface that the switch serves. */
  portNumber(interfaceName: string): number | undefined {
    const number = optionalNumber(this.byName('Interface', interfaceName)?.row.ofport);
    return number === null || number <= 0 ? undefined : number;
  }

  /** Why the switch does not serve an interface, in its own words. */
  problem(interfaceName: string): string {
    return optionalString(this.byName('Interface', interfaceName)?.row.error) ?? 'it has no port number';
  }

  /** Whether Kvasir made this port. */
  isOurs(port: Found): boolean {
    return this.interfacesOf(port).some(({ row }) => {
      const ids = record(row.external_ids);
      return ids['kvasir'] !== undefined || (ids['iface-id'] !== undefined && ids['kvasir-vm'] !== undefined);
    });
  }
}
