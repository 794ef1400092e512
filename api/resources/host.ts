/** A host is a server that runs VMs. It joins with a one-time token; its agent then dials the manager and reports what it has. */
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
  Timestamp,
} from '../schema.ts';

export const HostState = oneOf(['up', 'down', 'joining'] as const, {
  description:
    'up: the agent is connected and its heartbeats arrive; down: they do not (its VMs may well be running); joining: has never connected',
});
export const HostHaState = oneOf(
  [
    'running',
    'suspect',
    'management-isolated',
    'storage-lost',
    'network-lost',
    'hypervisor-lost',
    'dead',
    'fencing',
    'fenced',
    'maintenance',
    'standby',
  ] as const,
  {
    description:
      'By what the host has lost: suspect: silent for a moment; management-isolated: silent here, but other hosts see it; hypervisor-lost: its agent is heard, but its hypervisor does not answer; dead: silent on every path; fenced: proven not to run; standby: switched off to save power, or being woken',
  },
);
export const Virtualization = oneOf(['kvm', 'emulation', 'simulated'] as const, {
  description: 'kvm only when a guest really ran with it',
});

export const Host = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  clusterId: Id,
  state: HostState,
  ha: closed({
    state: HostHaState,
    because: nullable(Type.String()),
    since: nullable(Timestamp),
    incidentId: nullable({ ...Id, description: 'The incident that is open, else the last one' }),
  }),
  schedulable: Type.Boolean({ description: 'false: no new VM is placed here' }),
  address: Type.String({ description: 'Management address' }),
  virtualization: nullable(Virtualization),
  cpus: Type.Integer(),
  cpuModel: Type.String(),
  memoryMib: Type.Integer(),
  allocated: closed({ vms: Type.Integer(), cpus: Type.Integer(), memoryMib: Type.Integer() }),
  versions: Type.Record(Type.String(), Type.String(), { description: 'agent, qemu, libvirt, openvswitch, kernel' }),
  tunnelAddress: nullable(Type.String({ description: 'Where other hosts send VXLAN frames; null: it takes no part' })),
  nics: Type.Array(
    closed({
      name: Type.String(),
      macAddress: Type.String(),
      up: Type.Boolean({ description: 'The cable carries a signal' }),
      mtu: Type.Integer(),
      speedMbps: nullable(Type.Integer()),
    }),
    { description: 'Network devices that uplinks can use' },
  ),
  physicalFunctions: Type.Array(
    closed({
      nic: Type.String(),
      pciAddress: Type.String(),
      driver: nullable(Type.String()),
      switchId: nullable({ ...Id, description: 'Of which switch it is an uplink' }),
      virtualFunctions: Type.Integer({ description: 'Made by the administrator' }),
      most: Type.Integer({ description: 'What the hardware could divide itself into' }),
      free: nullable(Type.Integer({ description: 'Of its switch on this host, over all devices; null: of none' })),
    }),
    { description: 'Devices whose virtual functions NICs can be given (SR-IOV)' },
  ),
  lastSeenAt: nullable(Timestamp),
});
export type Host = Static<typeof Host>;

export const HostDomain = closed({
  id: Type.String({ description: 'UUID of the domain' }),
  name: Type.String(),
  state: Type.String(),
  managed: Type.Boolean({ description: 'false: made by somebody else; Kvasir shows it and leaves it alone' }),
  vmId: nullable(Id),
});
export type HostDomain = Static<typeof HostDomain>;

const params = closed({ host: NameOrId });

export const hostOperations = resource('host', {
  list: operation({
    method: 'GET',
    path: '/hosts',
    summary: 'List hosts',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt', 'memoryMib', 'cpus'], {
      name: Type.Optional(Name),
      cluster: Type.Optional(NameOrId),
      state: Type.Optional(HostState),
    }),
    response: page(Host),
    cli: {
      columns: [
        'name',
        'state',
        'ha.state',
        'virtualization',
        'cpus',
        'memoryMib',
        'allocated.vms',
        'allocated.memoryMib',
        'address',
      ],
    },
  }),
  get: operation({
    method: 'GET',
    path: '/hosts/{host}',
    summary: 'Show a host',
    access: 'system.viewer',
    params,
    response: Host,
  }),
  update: operation({
    method: 'PATCH',
    path: '/hosts/{host}',
    summary: 'Describe or label a host, or keep new VMs away from it',
    access: 'system.admin',
    params,
    body: closed({
      description: Type.Optional(Description),
      labels: Type.Optional(Labels),
      schedulable: Type.Optional(Type.Boolean()),
    }),
    response: Host,
  }),
  confirmOff: operation({
    method: 'POST',
    path: '/hosts/{host}/confirm-off',
    summary: 'Confirm that a silent host is off, so that its VMs may be started elsewhere; a wrong word destroys data',
    access: 'system.admin',
    params,
    body: closed({
      confirm: Type.Literal(true, { description: 'I confirm that this host is off and stays off' }),
      statement: Type.String({ minLength: 3, maxLength: 500, description: 'How you know; it is kept' }),
    }),
    status: 200,
    response: Host,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/hosts/{host}',
    summary: 'Remove a host that is down and has no VMs; its certificate is revoked',
    access: 'system.admin',
    params,
    response: noContent,
  }),
  domains: operation({
    method: 'GET',
    path: '/hosts/{host}/domains',
    summary: 'List all domains that the hypervisor of this host has, also those that Kvasir does not manage',
    access: 'system.viewer',
    params,
    response: closed({ items: Type.Array(HostDomain), nextCursor: Type.Null() }),
    cli: { columns: ['id', 'name', 'state', 'managed', 'vmId'] },
  }),
  createJoinToken: operation({
    method: 'POST',
    path: '/join-tokens',
    summary: 'Make a one-time token with which one server joins as a host',
    access: 'system.admin',
    body: closed({
      cluster: Type.Optional(NameOrId),
      lifetimeMinutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_080 })),
    }),
    response: closed({
      token: Type.String({ description: 'Secret; carries the fingerprint of the CA, shown only here' }),
      expiresAt: Timestamp,
    }),
    idempotent: false,
    cli: { name: 'join-token' },
  }),
});
