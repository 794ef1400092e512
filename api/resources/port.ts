/** A port is a NIC of a VM on a network, with its addresses and its policy. It comes and goes with the NIC (`vm attach-nic`). */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Id,
  listQuery,
  MacAddress,
  Name,
  NameOrId,
  nullable,
  oneOf,
  page,
  projectQuery,
} from '../schema.ts';
import { IpAddress } from './network.ts';

export const VlanId = Type.Integer({ minimum: 1, maximum: 4094 });

export const SubPort = closed({
  id: Id,
  vlanId: { ...VlanId, description: "The guest's tag" },
  networkId: Id,
  networkName: Name,
  macAddress: MacAddress,
  addresses: Type.Array(IpAddress),
});

export const GroupReference = closed({ id: Id, name: Name });

export const Port = closed({
  ...common,
  projectId: Id,
  vmId: Id,
  vmName: Name,
  networkId: Id,
  networkName: Name,
  macAddress: MacAddress,
  addresses: Type.Array(IpAddress, { description: 'Reserved for it, and given to the guest by DHCP' }),
  connected: Type.Boolean({ description: 'false: the cable is pulled' }),
  antiSpoofing: Type.Boolean({ description: 'It may send from its own MAC and addresses only' }),
  portSecurity: Type.Boolean({ description: 'false: no security group applies, everything passes' }),
  securityGroups: Type.Array(GroupReference),
  qosPolicyId: nullable(Id),
  vnicType: oneOf(['normal', 'direct'] as const, { description: 'direct: carried by a virtual function (SR-IOV)' }),
  subPorts: Type.Array(SubPort, { description: 'VLANs of a trunk: tagged by the guest, networks of their own' }),
});
export type Port = Static<typeof Port>;

const Traffic = closed({
  packets: Type.Integer(),
  bytes: Type.Integer(),
  dropped: Type.Integer({ description: 'By the device or a limit of rate' }),
});

export const PortCounters = closed({
  portId: Id,
  fromVm: Traffic,
  toVm: Traffic,
  rules: Type.Array(
    closed({
      ruleId: Id,
      securityGroupName: nullable(Type.String()),
      packets: Type.Integer(),
      bytes: Type.Integer(),
    }),
    { description: 'What rules let through' },
  ),
  drops: Type.Array(closed({ reason: Type.String(), packets: Type.Integer(), bytes: Type.Integer() })),
});

const params = closed({ port: Id });
const query = closed({ ...projectQuery });
export const SecurityGroupNames = Type.Array(NameOrId, {
  maxItems: 16,
  uniqueItems: true,
  description: 'Security groups; none: nothing but DHCP and ARP passes',
});
export const Addresses = Type.Array(IpAddress, {
  maxItems: 2,
  uniqueItems: true,
  description: 'Fixed addresses, at most one of each family',
});

export const portOperations = resource('port', {
  list: operation({
    method: 'GET',
    path: '/ports',
    summary: "List the ports of a project's VMs",
    access: 'project.viewer',
    query: listQuery(['macAddress', 'createdAt'], {
      ...projectQuery,
      vm: Type.Optional(NameOrId),
      network: Type.Optional(NameOrId),
      securityGroup: Type.Optional(NameOrId),
      macAddress: Type.Optional(MacAddress),
      address: Type.Optional(IpAddress),
    }),
    response: page(Port),
    cli: { columns: ['id', 'vmName', 'networkName', 'macAddress', 'addresses', 'securityGroups.0.name'] },
  }),
  get: operation({
    method: 'GET',
    path: '/ports/{port}',
    summary: 'Show a port',
    access: 'project.viewer',
    params,
    query,
    response: Port,
  }),
  update: operation({
    method: 'PATCH',
    path: '/ports/{port}',
    summary: "Change a port's addresses, security groups and other policy, at once",
    access: 'project.member',
    params,
    query,
    body: closed({
      addresses: Type.Optional(Addresses),
      securityGroups: Type.Optional(SecurityGroupNames),
      portSecurity: Type.Optional(Type.Boolean({ description: 'Not on networks of others' })),
      antiSpoofing: Type.Optional(Type.Boolean({ description: 'Not on networks of others' })),
      qosPolicy: Type.Optional(nullable({ ...NameOrId, description: 'Operators only' })),
      connected: Type.Optional(Type.Boolean({ description: 'false pulls the cable' })),
    }),
    response: Port,
  }),
  addSubPort: operation({
    method: 'POST',
    path: '/ports/{port}/sub-ports',
    summary: 'Let the guest reach a further network by a VLAN tag (trunk)',
    access: 'project.member',
    params,
    query,
    body: closed({
      network: NameOrId,
      vlanId: VlanId,
      address: Type.Optional(IpAddress),
    }),
    response: Port,
    cli: { positional: 'network' },
  }),
  removeSubPort: operation({
    method: 'DELETE',
    path: '/ports/{port}/sub-ports/{subPort}',
    summary: 'Take a VLAN off a trunk',
    access: 'project.member',
    params: closed({ port: Id, subPort: Id }),
    query,
    response: noContent,
  }),
  counters: operation({
    method: 'GET',
    path: '/ports/{port}/counters',
    summary: 'Count what passed a port, what rules let through and what was dropped',
    access: 'project.viewer',
    params,
    query,
    response: PortCounters,
  }),
});
