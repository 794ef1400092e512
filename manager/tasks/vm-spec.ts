/** Builds from rows what an agent is told of a VM. Pure; `loadVm` reads the rows. */
import type { DiskSpec, NicSpec, VmSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { type NetworkRow, networks, type PortRow, ports } from '../store/networks.ts';
import { type VmDiskRow, vmDisks, type VmRow, vms } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';

export interface VmRows {
  readonly vm: VmRow;
  /** In the order of their positions. */
  readonly disks: readonly { readonly disk: VmDiskRow; readonly volume: VolumeRow }[];
  readonly nics: readonly { readonly port: PortRow; readonly network: NetworkRow }[];
}

/** @throws KvasirError `not-found` */
export async function loadVm(ex: Executor, vmId: string): Promise<VmRows> {
  const vm = await vms.get(ex, vmId);
  const disks = await vmDisks.select(ex, { vmId }, 'position');
  const nics = await ports.select(ex, { vmId }, 'position');
  const volumeRows = await volumes.select(ex, { id: disks.map((disk) => disk.volumeId) });
  const networkRows = await networks.select(ex, { id: nics.map((port) => port.networkId) });
  return {
    vm,
    disks: disks.map((disk) => ({ disk, volume: byId(volumeRows, disk.volumeId) })),
    nics: nics.map((port) => ({ port, network: byId(networkRows, port.networkId) })),
  };
}

/** Where the VM is defined. @throws KvasirError `wrong-state` when it is nowhere */
export function hostOf(vm: VmRow): string {
  if (vm.hostId !== null) return vm.hostId;
  throw new KvasirError('wrong-state', { action: 'reach', kind: 'VM', name: vm.name, state: 'on no host' });
}

export function vmSpec({ vm, disks, nics }: VmRows): VmSpec {
  return {
    vmId: vm.id,
    name: vm.name,
    projectId: vm.projectId,
    cpus: vm.cpus,
    maxCpus: vm.maxCpus,
    memoryMib: vm.memoryMib,
    maxMemoryMib: vm.maxMemoryMib,
    cpuModel: vm.cpuModel,
    firmware: vm.firmware,
    bootOrder: [...vm.bootOrder],
    disks: disks.map(({ disk, volume }) => diskSpec(disk, volume)),
    nics: nics.map(({ port, network }) => nicSpec(port, network)),
    cloudInit: vm.cloudInit === null ? null : { ...vm.cloudInit, instanceId: vm.id },
  };
}

export function diskSpec(disk: VmDiskRow, volume: VolumeRow): DiskSpec {
  return {
    poolId: volume.poolId,
    volumeId: volume.id,
    format: volume.format,
    device: disk.device,
    bus: disk.bus,
    readOnly: disk.readOnly,
  };
}

export function nicSpec(port: PortRow, network: NetworkRow): NicSpec {
  return {
    nicId: port.id,
    networkId: port.networkId,
    macAddress: port.macAddress,
    model: port.model,
    mtu: network.mtu,
    ...(port.vnicType === 'direct' ? { direct: true as const } : {}),
  };
}

function byId<Row extends { readonly id: string }>(rows: readonly Row[], id: string): Row {
  const row = rows.find((candidate) => candidate.id === id);
  if (row === undefined) throw new KvasirError('not-found', { kind: 'row', id });
  return row;
}
