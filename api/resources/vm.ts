/** A virtual machine: what it is asked to be (`desiredState`, sizes, devices) and what was last seen of it (`state`, `guest`, `drift`). */
import { type Static, Type } from 'typebox';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  MacAddress,
  Name,
  NameOrId,
  nullable,
  oneOf,
  Timestamp,
} from '../schema.ts';
import { IpAddress } from './network.ts';
import { Addresses, GroupReference, SecurityGroupNames } from './port.ts';
import { VmHa, VmHaChange } from './ha-policy.ts';
import { SizeGib } from './volume.ts';

export const VmState = oneOf(
  ['creating', 'stopped', 'running', 'paused', 'suspended', 'crashed', 'unknown', 'failed', 'trashed'] as const,
  {
    description:
      'Last seen: creating and failed concern its creation; suspended: memory on disk; unknown: its host is not connected; trashed: deleted, can be restored until purgeAt',
  },
);
export type VmState = Static<typeof VmState>;

export const DiskBus = oneOf(['virtio', 'scsi', 'sata'] as const);
export const NicModel = oneOf(['virtio', 'e1000e'] as const);
export const VnicType = oneOf(['normal', 'direct'] as const, {
  description: 'direct: carried by a virtual function (SR-IOV) of an uplink; no security groups apply',
});
export const BootDevice = oneOf(['disk', 'network', 'cdrom'] as const);
export const CpuModel = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$',
  description: '`host`, `maximum` or a model that libvirt names',
});
const Cpus = Type.Integer({ minimum: 1, maximum: 288 });
const MemoryMib = Type.Integer({ minimum: 32, maximum: 16_777_216 });
const GroupNames = Type.Array(Name, {
  maxItems: 16,
  description: 'Group names; the members of a group are the VMs of the project that name it',
});

export const Disk = closed({
  volumeId: Id,
  volumeName: Name,
  device: Type.String({ description: 'Target name, e.g. vda' }),
  bus: DiskBus,
  sizeGib: Type.Number(),
  readOnly: Type.Boolean(),
});
export const Nic = closed({
  id: Id,
  networkId: Id,
  networkName: Name,
  macAddress: MacAddress,
  model: NicModel,
  connected: Type.Boolean(),
  addresses: Type.Array(IpAddress),
  securityGroups: Type.Array(GroupReference),
  vnicType: VnicType,
});

export const Guest = closed({
  agent: Type.Boolean({ description: 'The guest agent answers' }),
  hostname: nullable(Type.String()),
  os: nullable(Type.String()),
  addresses: Type.Array(Type.String()),
});

export const Vm = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  clusterId: Id,
  hostId: nullable({ ...Id, description: 'Where it is defined; null for tenants' }),
  hostName: nullable(Name),
  state: VmState,
  stateReason: nullable(Type.String({ description: 'Why it is in this state, e.g. "guest shut down"' })),
  desiredState: oneOf(['running', 'stopped', 'paused', 'suspended'] as const),
  taskId: nullable({ ...Id, description: 'Task that works on it now' }),
  cpus: Type.Integer(),
  maxCpus: Type.Integer(),
  memoryMib: Type.Integer(),
  maxMemoryMib: Type.Integer(),
  cpuModel: CpuModel,
  firmware: oneOf(['bios', 'uefi'] as const),
  bootOrder: Type.Array(BootDevice),
  disks: Type.Array(Disk),
  nics: Type.Array(Nic),
  affinity: GroupNames,
  antiAffinity: GroupNames,
  ha: VmHa,
  guest: nullable(Guest),
  drift: Type.Array(Type.String(), { description: 'What somebody changed behind our back on the host' }),
  startedAt: nullable(Timestamp),
  trashedAt: nullable(Timestamp),
  purgeAt: nullable(Timestamp),
});
export type Vm = Static<typeof Vm>;

/** NoCloud seed; secrets in it are never shown again. */
export const CloudInit = closed({
  hostname: Type.Optional(Type.String({ pattern: '^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$' })),
  userData: Type.Optional(Type.String({ maxLength: 65_536, description: '#cloud-config or a script' })),
  sshKeys: Type.Optional(
    Type.Array(Type.String({ minLength: 16, maxLength: 8192, pattern: '^[^\\n\\r]+$' }), { maxItems: 64 }),
  ),
  networkConfig: Type.Optional(Type.String({ maxLength: 16_384, description: 'cloud-init network-config, YAML' })),
});
export type CloudInit = Static<typeof CloudInit>;

export const DiskCreate = closed({
  volume: Type.Optional({ ...NameOrId, description: 'An existing volume; or make one with the fields below' }),
  image: Type.Optional(NameOrId),
  clone: Type.Optional(oneOf(['linked', 'full'] as const)),
  pool: Type.Optional(NameOrId),
  sizeGib: Type.Optional(SizeGib),
  bus: Type.Optional(DiskBus),
});
export type DiskCreate = Static<typeof DiskCreate>;

export const NicCreate = closed({
  network: NameOrId,
  macAddress: Type.Optional(MacAddress),
  model: Type.Optional(NicModel),
  addresses: Type.Optional(Addresses),
  securityGroups: Type.Optional({ ...SecurityGroupNames, description: "Default: the project's group default" }),
  vnicType: Type.Optional(VnicType),
});
export type NicCreate = Static<typeof NicCreate>;

export const VmCreate = closed({
  name: Name,
  description: Type.Optional(Description),
  labels: Type.Optional(Labels),
  cluster: Type.Optional(NameOrId),
  host: Type.Optional({ ...NameOrId, description: 'Operators only: exactly this host' }),
  image: Type.Optional({ ...NameOrId, description: 'First disk from this image' }),
  clone: Type.Optional(
    oneOf(['linked', 'full'] as const, { description: 'How the image becomes the first disk; default linked' }),
  ),
  pool: Type.Optional({
    ...NameOrId,
    description: 'Pool for new disks; default: one that holds the image, shared first',
  }),
  diskSizeGib: Type.Optional(SizeGib),
  disks: Type.Optional(
    Type.Array(DiskCreate, { maxItems: 16, description: 'Further disks (or all, without `image`)' }),
  ),
  network: Type.Optional({ ...NameOrId, description: 'First NIC on this network' }),
  addresses: Type.Optional({ ...Addresses, description: 'Of the first NIC; default: free ones' }),
  securityGroups: Type.Optional({
    ...SecurityGroupNames,
    description: "Of the first NIC; default: the project's group default",
  }),
  nics: Type.Optional(Type.Array(NicCreate, { maxItems: 8, description: 'Further NICs' })),
  cpus: Type.Optional(Cpus),
  maxCpus: Type.Optional({ ...Cpus, description: 'Up to here CPUs can be added while it runs; default: cpus' }),
  memoryMib: Type.Optional(MemoryMib),
  maxMemoryMib: Type.Optional(MemoryMib),
  cpuModel: Type.Optional(CpuModel),
  firmware: Type.Optional(oneOf(['bios', 'uefi'] as const)),
  bootOrder: Type.Optional(Type.Array(BootDevice, { minItems: 1, maxItems: 3, uniqueItems: true })),
  affinity: Type.Optional(GroupNames),
  antiAffinity: Type.Optional(GroupNames),
  ha: Type.Optional(VmHaChange),
  cloudInit: Type.Optional(CloudInit),
  start: Type.Optional(Type.Boolean({ description: 'Start it when it is made; default true' })),
});
export type VmCreate = Static<typeof VmCreate>;

export const VmUpdate = closed({
  name: Type.Optional(Name),
  description: Type.Optional(Description),
  labels: Type.Optional(Labels),
  bootOrder: Type.Optional(Type.Array(BootDevice, { minItems: 1, maxItems: 3, uniqueItems: true })),
  affinity: Type.Optional(GroupNames),
  antiAffinity: Type.Optional(GroupNames),
  ha: Type.Optional(VmHaChange),
});

export const VmResize = closed({
  cpus: Type.Optional(Cpus),
  maxCpus: Type.Optional({ ...Cpus, description: 'Only while it is stopped' }),
  memoryMib: Type.Optional(MemoryMib),
  maxMemoryMib: Type.Optional({ ...MemoryMib, description: 'Only while it is stopped' }),
});
