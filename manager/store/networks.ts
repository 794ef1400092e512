/** Networks, the ports (NICs of VMs) on them, and which addresses are taken. */
import type { Labels } from '@kvasir/api/schema.ts';
import type { Subnet } from '@kvasir/control/network/subnet.ts';
import { sql } from 'kysely';
import type { Executor } from './database.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface NetworkRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly shared: boolean;
  readonly kind: 'flat' | 'vlan' | 'vxlan';
  /** VLAN id or VNI; 0 for flat. */
  readonly segment: number;
  /** null: VXLAN, or a flat network on each host's default uplink. */
  readonly switchId: string | null;
  readonly mtu: number;
  readonly domain: string | null;
  /** Routers may have their gateway here. */
  readonly external: boolean;
  /** What new NICs get: security groups and anti-spoofing. */
  readonly portSecurity: boolean;
  /** At most one of each family. */
  readonly subnets: readonly Subnet[];
  readonly externalVteps: readonly string[];
}

export const networks = new Table<NetworkRow>({
  table: 'networks',
  kind: 'network',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    shared: 'flag',
    kind: 'text',
    segment: 'integer',
    switchId: 'text',
    mtu: 'integer',
    domain: 'text',
    external: 'flag',
    portSecurity: 'flag',
    subnets: 'json',
    externalVteps: 'json',
  },
});

/** A network as plain as can be: one flat segment on each host's default uplink, without addresses and policy of its own. */
export const plainNetwork = {
  kind: 'flat',
  segment: 0,
  switchId: null,
  domain: null,
  external: false,
  portSecurity: false,
  subnets: [],
  externalVteps: [],
} as const satisfies Partial<NetworkRow>;

export interface PortRow extends Versioned {
  readonly vmId: string;
  readonly networkId: string;
  /** Unique over the whole system. */
  readonly macAddress: string;
  readonly model: 'virtio' | 'e1000e';
  readonly connected: boolean;
  /** Order within the VM, from 0. */
  readonly position: number;
  readonly antiSpoofing: boolean;
  /** false: no security group applies. */
  readonly portSecurity: boolean;
  readonly qosPolicyId: string | null;
  /** direct: carried by a virtual function of an uplink's device. */
  readonly vnicType: 'normal' | 'direct';
}

/** Removed with their VM. */
export const ports = new Table<PortRow>({
  table: 'ports',
  kind: 'MAC address',
  columns: {
    ...versioned,
    vmId: 'text',
    networkId: 'text',
    macAddress: 'text',
    model: 'text',
    connected: 'flag',
    position: 'integer',
    antiSpoofing: 'flag',
    portSecurity: 'flag',
    qosPolicyId: 'text',
    vnicType: 'text',
  },
});

/** A port without policy. */
export const plainPort = { antiSpoofing: false, portSecurity: false, qosPolicyId: null, vnicType: 'normal' } as const;

/** A VLAN of a trunk: what the guest tags on its NIC is a port of another network. */
export interface SubPortRow extends Versioned {
  readonly portId: string;
  readonly networkId: string;
  readonly vlanId: number;
  readonly macAddress: string;
}

/** Removed with their port. */
export const subPorts = new Table<SubPortRow>({
  table: 'subPorts',
  kind: 'sub-port',
  columns: { ...versioned, portId: 'text', networkId: 'text', vlanId: 'integer', macAddress: 'text' },
});

/** Held by one of the four; removed with it. */
export interface NetworkAddressRow {
  readonly networkId: string;
  readonly address: string;
  readonly portId: string | null;
  readonly subPortId: string | null;
  readonly routerId: string | null;
  readonly floatingAddressId: string | null;
}

export const networkAddresses = new Table<NetworkAddressRow>({
  table: 'networkAddresses',
  kind: 'address',
  columns: {
    networkId: 'text',
    address: 'text',
    portId: 'text',
    subPortId: 'text',
    routerId: 'text',
    floatingAddressId: 'text',
  },
  key: 'address',
});

/** The condition stands as in the index `networks_by_vni`. */
export async function isVniTaken(ex: Executor, vni: number): Promise<boolean> {
  const query = ex.selectFrom('networks').select('id').where(sql<boolean>`kind = 'vxlan'`).where('segment', '=', vni);
  return (await query.executeTakeFirst()) !== undefined;
}
