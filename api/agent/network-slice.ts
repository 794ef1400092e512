/**
 * What one host is told of the distributed switch: the networks that it serves, the ports that are or will be plugged in here, and
 * everything of other hosts that these need. The slice is whole and neutral: device names, switch port numbers and flows are
 * the driver's. It is applied as a difference; the newest generation wins.
 *
 * Addresses are plain (`10.0.0.5`, `fd00::5`), subnets and CIDRs have a prefix length (`10.0.0.0/24`).
 */
import { type Static, Type } from 'typebox';
import { closed, Id, MacAddress, nullable, oneOf } from '../schema.ts';

const Address = Type.String({ maxLength: 45 });
const Cidr = Type.String({ maxLength: 49 });
const PortNumber = Type.Integer({ minimum: 0, maximum: 65_535 });
const VlanId = Type.Integer({ minimum: 1, maximum: 4094 });

/** A connection of the host to the physical network: one NIC, or a bond of several. */
export const SliceUplink = closed({
  uplinkId: Id,
  switchId: Id,
  name: Type.String(),
  nics: Type.Array(Type.String({ maxLength: 15, description: 'Name of the interface on the host' })),
  /** null: a single NIC. */
  bond: nullable(oneOf(['active-backup', 'balance-slb', 'lacp'] as const)),
  lacpFast: Type.Boolean(),
});
export type SliceUplink = Static<typeof SliceUplink>;

export const SliceSubnet = closed({
  cidr: Cidr,
  gateway: nullable(Address),
  /** IPv4: DHCP; IPv6: router advertisements (SLAAC). */
  dhcp: Type.Boolean(),
  dnsServers: Type.Array(Address),
  leaseSeconds: Type.Integer({ minimum: 60 }),
});
export type SliceSubnet = Static<typeof SliceSubnet>;

/**
 * Whose the port is, in a network that has names and that several projects share: names are known within one project only. Left out: all
 * ports of the network are of one.
 */
export const PortProject = Type.Optional(Id);

/** A port of the network that is on another host, or behind a registered foreign VTEP. */
export const SliceRemotePort = closed({
  macAddress: MacAddress,
  addresses: Type.Array(Address),
  name: nullable(Type.String({ description: 'For DNS' })),
  projectId: PortProject,
  /** All of these get its frames (two while it moves). Of VXLAN networks only; else empty. */
  vteps: Type.Array(Address),
});
export type SliceRemotePort = Static<typeof SliceRemotePort>;

export const SliceNetwork = closed({
  networkId: Id,
  name: Type.String(),
  kind: oneOf(['flat', 'vlan', 'vxlan'] as const),
  /** VLAN id or VNI; 0 for flat. */
  segment: Type.Integer({ minimum: 0, maximum: 16_777_214 }),
  /** The switch whose uplink carries it; null: VXLAN, or a flat network that stays within the host's default uplink. */
  switchId: nullable(Id),
  mtu: Type.Integer(),
  /** DNS names are `<port name>.<domain>`. */
  domain: nullable(Type.String()),
  /** At most one of each family. */
  subnets: Type.Array(SliceSubnet),
  remotePorts: Type.Array(SliceRemotePort),
  /** Other hosts that have members: broadcast and multicast are replicated to them. */
  memberVteps: Type.Array(Address),
  /** Foreign VTEPs: get broadcast, multicast and unicast to unknown MACs. */
  externalVteps: Type.Array(Address),
});
export type SliceNetwork = Static<typeof SliceNetwork>;

/** Bits a second and the burst above it; null: no limit. */
export const SliceRate = nullable(
  closed({ rateKbps: Type.Integer({ minimum: 1 }), burstKb: Type.Integer({ minimum: 1 }) }),
);

/** TCP sessions of a port that were cut when a rule was taken away: they do not come back by a packet of their middle. */
export const SliceCut = closed({
  /** Into the VM, or out of it. */
  opened: oneOf(['in', 'out'] as const),
  /** The port's own. */
  address: Address,
  /** The TCP port that they led to; null: any. */
  port: nullable(PortNumber),
  /** The other end; null: anybody. */
  remote: nullable(Address),
});
export type SliceCut = Static<typeof SliceCut>;

export const SlicePort = closed({
  nicId: Id,
  vmId: Id,
  networkId: Id,
  macAddress: MacAddress,
  addresses: Type.Array(Address),
  /** Host name that DHCP and DNS give; null: none. */
  name: nullable(Type.String()),
  projectId: PortProject,
  /** Only its own MAC and addresses may be sent from. */
  antiSpoofing: Type.Boolean(),
  /** false: no security group applies, everything passes. true with no group: nothing comes in or goes out but DHCP and ARP. */
  filtered: Type.Boolean(),
  securityGroupIds: Type.Array(Id),
  /** active: the VM runs (or is defined) here; incoming: staged for a VM that is on its way here. */
  phase: oneOf(['active', 'incoming'] as const),
  /** false: the cable is pulled. */
  connected: Type.Boolean(),
  qos: nullable(
    closed({ fromVm: SliceRate, toVm: SliceRate, dscp: nullable(Type.Integer({ minimum: 0, maximum: 63 })) }),
  ),
  /** A sub-port of a trunk: the guest's tag on the NIC `nicId`; null: the NIC's untagged frames. */
  guestVlan: nullable(VlanId),
  /** Delivered by the hardware of an SR-IOV virtual function: the switch programs nothing but its addresses elsewhere. */
  hardware: Type.Boolean(),
  /** Left out: none. */
  cuts: Type.Optional(Type.Array(SliceCut)),
});
export type SlicePort = Static<typeof SlicePort>;

export const SliceRule = closed({
  ruleId: Id,
  direction: oneOf(['in', 'out'] as const),
  family: oneOf(['ipv4', 'ipv6'] as const),
  /** An IP protocol number; null: any. 1 icmp, 6 tcp, 17 udp, 58 icmpv6, 132 sctp. */
  protocol: nullable(Type.Integer({ minimum: 0, maximum: 255 })),
  /** Destination ports of tcp, udp and sctp, both included; null: any. */
  ports: nullable(closed({ from: PortNumber, to: PortNumber })),
  icmp: nullable(
    closed({
      type: Type.Integer({ minimum: 0, maximum: 255 }),
      code: nullable(Type.Integer({ minimum: 0, maximum: 255 })),
    }),
  ),
  /** The other end; null: anybody. */
  remote: nullable(Type.Union([closed({ cidr: Cidr }), closed({ groupId: Id })])),
});
export type SliceRule = Static<typeof SliceRule>;

export const SliceGroup = closed({ groupId: Id, name: Type.String(), rules: Type.Array(SliceRule) });
export type SliceGroup = Static<typeof SliceGroup>;

/** All addresses of a group's members, for rules whose remote is the group. */
export const SliceAddressSet = closed({ groupId: Id, addresses: Type.Array(Address) });
export type SliceAddressSet = Static<typeof SliceAddressSet>;

/** A router between VXLAN networks: present on every host with the same MAC, so traffic east-west never leaves the straight path. */
export const SliceRouter = closed({
  routerId: Id,
  name: Type.String(),
  macAddress: MacAddress,
  interfaces: Type.Array(
    closed({ networkId: Id, address: Address, prefixLength: Type.Integer({ minimum: 0, maximum: 128 }) }),
  ),
  /** The way out; null: none. */
  gateway: nullable(
    closed({
      /** The host that does the translation now. */
      here: Type.Boolean(),
      vtep: Address,
      externalNetworkId: Id,
      /** MAC and address of the router on the external network, the next hop, and the subnet's prefix. */
      macAddress: MacAddress,
      address: Address,
      prefixLength: Type.Integer({ minimum: 0, maximum: 32 }),
      nextHop: nullable(Address),
      snat: Type.Boolean(),
      floating: Type.Array(closed({ address: Address, fixedAddress: Address, networkId: Id })),
    }),
  ),
});
export type SliceRouter = Static<typeof SliceRouter>;

export const SliceMirror = closed({
  mirrorId: Id,
  name: Type.String(),
  /** What is copied: NICs, or a whole network as this host sees it. */
  sources: Type.Union([closed({ nicIds: Type.Array(Id) }), closed({ networkId: Id })]),
  direction: oneOf(['in', 'out', 'both'] as const),
  target: Type.Union([
    closed({ nicId: Id }),
    closed({
      remote: oneOf(['gre', 'erspan'] as const),
      address: Address,
      key: Type.Integer({ minimum: 0, maximum: 1023 }),
    }),
  ]),
});
export type SliceMirror = Static<typeof SliceMirror>;

export const NetworkSlice = closed({
  uplinks: Type.Array(SliceUplink),
  networks: Type.Array(SliceNetwork),
  ports: Type.Array(SlicePort),
  groups: Type.Array(SliceGroup),
  addressSets: Type.Array(SliceAddressSet),
  routers: Type.Array(SliceRouter),
  mirrors: Type.Array(SliceMirror),
});
export type NetworkSlice = Static<typeof NetworkSlice>;

export const emptySlice: NetworkSlice = {
  uplinks: [],
  networks: [],
  ports: [],
  groups: [],
  addressSets: [],
  routers: [],
  mirrors: [],
};
