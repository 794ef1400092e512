/**
 * What the compiler is told: structurally the slice of the manager-agent contract, declared again because `ovs` imports nothing
 * of ours (a test in the agent holds both together). Addresses are plain (`10.0.0.5`, `fd00::5`), subnets and CIDRs have a
 * prefix length (`10.0.0.0/24`).
 */
export interface Uplink {
  readonly uplinkId: string;
  readonly switchId: string;
  readonly bond: 'active-backup' | 'balance-slb' | 'lacp' | null;
}

export interface Subnet {
  readonly cidr: string;
  readonly gateway: string | null;
  /** IPv4: DHCP; IPv6: router advertisements. */
  readonly dhcp: boolean;
}

export interface RemotePort {
  readonly macAddress: string;
  readonly addresses: readonly string[];
  /** undefined: not told. */
  readonly projectId?: string | undefined;
  readonly vteps: readonly string[];
}

export interface Network {
  readonly networkId: string;
  readonly kind: 'flat' | 'vlan' | 'vxlan';
  /** VLAN id or VNI; 0 for flat. */
  readonly segment: number;
  readonly switchId: string | null;
  readonly subnets: readonly Subnet[];
  readonly remotePorts: readonly RemotePort[];
  readonly memberVteps: readonly string[];
  readonly externalVteps: readonly string[];
}

export type Rate = { readonly rateKbps: number; readonly burstKb: number } | null;

/** TCP sessions that were cut: they do not come back by a packet of their middle. */
export interface Cut {
  /** Into the port, or out of it. */
  readonly opened: 'in' | 'out';
  /** The port's own. */
  readonly address: string;
  /** Where they led to; null: to any. */
  readonly port: number | null;
  /** The other end; null: anybody. */
  readonly remote: string | null;
}

export interface Port {
  readonly nicId: string;
  readonly networkId: string;
  /** undefined: not told. */
  readonly projectId?: string | undefined;
  readonly macAddress: string;
  readonly addresses: readonly string[];
  readonly antiSpoofing: boolean;
  readonly filtered: boolean;
  readonly securityGroupIds: readonly string[];
  readonly phase: 'active' | 'incoming';
  readonly connected: boolean;
  readonly qos: { readonly fromVm: Rate; readonly toVm: Rate; readonly dscp: number | null } | null;
  readonly guestVlan: number | null;
  readonly hardware: boolean;
  readonly cuts?: readonly Cut[] | undefined;
}

export interface Rule {
  readonly ruleId: string;
  readonly direction: 'in' | 'out';
  readonly family: 'ipv4' | 'ipv6';
  readonly protocol: number | null;
  readonly ports: { readonly from: number; readonly to: number } | null;
  readonly icmp: { readonly type: number; readonly code: number | null } | null;
  readonly remote: { readonly cidr: string } | { readonly groupId: string } | null;
}

export interface Group {
  readonly groupId: string;
  readonly rules: readonly Rule[];
}

export interface AddressSet {
  readonly groupId: string;
  readonly addresses: readonly string[];
}

export interface Gateway {
  /** This host does the translation now. */
  readonly here: boolean;
  readonly vtep: string;
  readonly externalNetworkId: string;
  readonly macAddress: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly nextHop: string | null;
  readonly snat: boolean;
  readonly floating: readonly { readonly address: string; readonly fixedAddress: string; readonly networkId: string }[];
}

export interface RouterInterface {
  readonly networkId: string;
  readonly address: string;
  readonly prefixLength: number;
}

export interface Router {
  readonly routerId: string;
  readonly macAddress: string;
  readonly interfaces: readonly RouterInterface[];
  readonly gateway: Gateway | null;
}

export interface Slice {
  readonly uplinks: readonly Uplink[];
  readonly networks: readonly Network[];
  readonly ports: readonly Port[];
  readonly groups: readonly Group[];
  readonly addressSets: readonly AddressSet[];
  readonly routers: readonly Router[];
}
