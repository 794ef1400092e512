/**
 * A network connects NICs. `vxlan`: a tenant's own, over the hosts' tunnels. `vlan`: a segment of a distributed switch.
 * `flat`: the untagged frames of a switch's uplinks, or (without a switch) of each host's default uplink.
 */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  listQuery,
  Name,
  NameOrId,
  nullable,
  oneOf,
  page,
  projectQuery,
} from '../schema.ts';

export const IpAddress = Type.String({
  pattern: '^[0-9a-fA-F:.]{2,45}$',
  maxLength: 45,
  description: 'IPv4 or IPv6 address',
});
export const Cidr = Type.String({
  pattern: '^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$',
  maxLength: 49,
  description: 'Address block, e.g. 10.0.0.0/24',
});
export const NetworkKind = oneOf(['flat', 'vlan', 'vxlan'] as const);
const Segment = Type.Integer({ minimum: 1, maximum: 16_777_214, description: 'VLAN id or VNI' });
const Mtu = Type.Integer({ minimum: 576, maximum: 9216 });
export const Domain = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$',
  maxLength: 190,
  description: 'VMs are known by DNS as NAME.DOMAIN',
});
const LeaseSeconds = Type.Integer({ minimum: 60, maximum: 31_536_000 });

export const Subnet = closed({
  cidr: Cidr,
  gateway: nullable(IpAddress),
  dhcp: Type.Boolean({ description: 'IPv4: DHCP; IPv6: router advertisements' }),
  dnsServers: Type.Array(IpAddress),
  allocationFrom: IpAddress,
  allocationTo: IpAddress,
  leaseSeconds: LeaseSeconds,
});

export const SubnetCreate = closed({
  cidr: Cidr,
  gateway: Type.Optional(nullable({ ...IpAddress, description: 'Default: the first address; null: none' })),
  dhcp: Type.Optional(Type.Boolean({ description: 'Default true' })),
  dnsServers: Type.Optional(Type.Array(IpAddress, { maxItems: 4 })),
  allocationFrom: Type.Optional({ ...IpAddress, description: 'Addresses are given out from here' }),
  allocationTo: Type.Optional({ ...IpAddress, description: '… to here' }),
  leaseSeconds: Type.Optional(LeaseSeconds),
});

export const Network = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  shared: Type.Boolean({ description: 'true: every project may attach NICs' }),
  kind: NetworkKind,
  segment: nullable({ ...Segment, description: 'VLAN id or VNI; null: flat' }),
  switchId: nullable(Id),
  mtu: Type.Integer(),
  domain: nullable(Domain),
  external: Type.Boolean({ description: 'true: routers may have their gateway and floating addresses here' }),
  portSecurity: Type.Boolean({ description: 'New NICs get security groups and anti-spoofing' }),
  subnets: Type.Array(Subnet),
  externalVteps: Type.Array(IpAddress, { description: 'Foreign VXLAN end points that take part' }),
  ports: Type.Integer({ description: 'NICs attached' }),
});
export type Network = Static<typeof Network>;

const params = closed({ network: NameOrId });
const query = closed({ ...projectQuery });
const Subnets = Type.Array(SubnetCreate, { maxItems: 2, description: 'At most one of IPv4 and one of IPv6' });
const settings = {
  description: Type.Optional(Description),
  labels: Type.Optional(Labels),
  shared: Type.Optional(Type.Boolean({ description: 'Operators only' })),
  mtu: Type.Optional({ ...Mtu, description: 'Default: what the physical network allows; VXLAN takes 50 bytes' }),
  external: Type.Optional(Type.Boolean({ description: 'Operators only; flat and vlan' })),
  portSecurity: Type.Optional(
    Type.Boolean({
      description:
        'Security groups and anti-spoofing for new NICs; default true, but not on flat networks without a switch',
    }),
  ),
  externalVteps: Type.Optional(
    Type.Array(IpAddress, { maxItems: 64, uniqueItems: true, description: 'Operators only; vxlan' }),
  ),
};

export const networkOperations = resource('network', {
  list: operation({
    method: 'GET',
    path: '/networks',
    summary: "List the project's networks and the shared ones",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], {
      ...projectQuery,
      name: Type.Optional(Name),
      shared: Type.Optional(Type.Boolean()),
      kind: Type.Optional(NetworkKind),
      external: Type.Optional(Type.Boolean()),
    }),
    response: page(Network),
    cli: { columns: ['id', 'name', 'kind', 'segment', 'subnets.0.cidr', 'shared', 'mtu', 'ports'] },
  }),
  get: operation({
    method: 'GET',
    path: '/networks/{network}',
    summary: 'Show a network',
    access: 'project.viewer',
    params,
    query,
    response: Network,
  }),
  create: operation({
    method: 'POST',
    path: '/networks',
    summary: 'Create a network; tenants make VXLAN networks, operators also flat and VLAN ones',
    access: 'project.member',
    query,
    body: closed({
      name: Name,
      kind: Type.Optional({ ...NetworkKind, description: 'Default: vxlan, with a VLAN id or switch vlan or flat' }),
      segment: Type.Optional({ ...Segment, description: 'Operators only; VLAN id or VNI. Default: a free one' }),
      switch: Type.Optional({ ...NameOrId, description: 'Operators only; of a flat or VLAN network' }),
      subnets: Type.Optional(Subnets),
      domain: Type.Optional(Domain),
      ...settings,
    }),
    response: Network,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/networks/{network}',
    summary: 'Change a network. Subnets are given whole',
    access: 'project.member',
    params,
    query,
    body: closed({
      name: Type.Optional(Name),
      subnets: Type.Optional(Subnets),
      domain: Type.Optional(nullable(Domain)),
      ...settings,
    }),
    response: Network,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/networks/{network}',
    summary: 'Delete a network without ports',
    access: 'project.member',
    params,
    query,
    response: noContent,
  }),
});
