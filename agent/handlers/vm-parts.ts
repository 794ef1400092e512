/** Resolves a VM's spec to what this host has: disks to files, NICs to ports, cloud-init to a seed. */
import type { DiskSpec, NicSpec, VmSpec } from '@kvasir/api/agent/vm.ts';
import type { DomainDisk, DomainNic, DomainSpec } from '../drivers/hypervisor.ts';
import type { FunctionState } from '../drivers/network.ts';
import type { HostContext } from './handler.ts';

export async function locateDisk(
  host: HostContext,
  { device, bus, readOnly, ...volume }: DiskSpec,
): Promise<DomainDisk> {
  return { spec: { ...volume, device, bus, readOnly }, source: await host.drivers.storage.locate(volume) };
}

/** @param state of its function; left out: one that rests goes on resting */
export async function plugNic(
  host: HostContext,
  vmId: string,
  nic: NicSpec,
  state?: FunctionState,
): Promise<DomainNic> {
  return { spec: nic, ...(await host.drivers.network.attachPort(vmId, nic, state)) };
}

/** Makes everything that the domain needs beside itself, and remembers the spec first. */
export async function resolveVm(host: HostContext, vm: VmSpec, state?: FunctionState): Promise<DomainSpec> {
  const { storage } = host.drivers;
  const disks = await Promise.all(vm.disks.map((disk) => locateDisk(host, disk)));
  await host.specs.set(vm);
  await host.metadata.set(vm);
  const seed = vm.cloudInit === null ? null : await storage.writeSeed(vm.vmId, vm.name, vm.cloudInit);
  if (seed === null) await storage.removeSeed(vm.vmId);
  const nics = await Promise.all(vm.nics.map((nic) => plugNic(host, vm.vmId, nic, state)));
  return { vm, disks, nics, seed };
}

/** Removes this VM's ports, except those of the NICs named. */
export async function unplugPorts(host: HostContext, vmId: string, keep: readonly NicSpec[] = []): Promise<void> {
  const kept = new Set(keep.map((nic) => nic.nicId));
  for (const port of await host.drivers.network.listPorts()) {
    if (port.vmId === vmId && !kept.has(port.nicId)) await host.drivers.network.detachPort(port.nicId);
  }
}

/** Removes what `resolveVm` made, once the domain is not here. */
export async function clearVm(host: HostContext, vmId: string): Promise<void> {
  await unplugPorts(host, vmId);
  await host.drivers.storage.removeSeed(vmId);
  await host.metadata.delete(vmId);
  await host.specs.delete(vmId);
}

/** Makes the ports of a known VM again where they are missing (taps do not outlive a reboot). */
export async function replugPorts(host: HostContext, vmId: string, state?: FunctionState): Promise<void> {
  for (const nic of host.specs.get(vmId)?.nics ?? []) await plugNic(host, vmId, nic, state);
}

/**
 * The same before it starts: its functions carry then. While it runs, one that rests goes on resting: a guest that found it without
 * its address is on the standby NIC, and would be cut off.
 */
export async function plugForStart(host: HostContext, vmId: string): Promise<void> {
  const hasFunctions = host.specs.get(vmId)?.nics.some(({ direct }) => direct === true) === true;
  const domains = hasFunctions ? await host.drivers.hypervisor.list() : [];
  const runs = domains.some((each) => each.vmId === vmId && (each.state === 'running' || each.state === 'paused'));
  await replugPorts(host, vmId, runs ? undefined : 'carries');
}
