/**
 * What a host can promise to VMs and how much of it is left.
 *
 * The memory of a host is its own memory without the cluster's reserve, times the overcommit; with an overcommit of 1 the
 * promises can never exceed what is there. QEMU's own memory beside the guest's (some tens of MiB a VM) is not counted for
 * each VM but belongs to the reserve, so that the sums are the ones an administrator gets by adding up the VM sizes.
 */
import type { CommittedVm, PlacementCluster, PlacementHost } from './world.ts';

export interface Capacity {
  readonly cpus: number;
  readonly memoryMib: number;
}

/** Everything that VMs may be promised on this host, in whole processors and MiB. */
export function promisable(host: PlacementHost, cluster: PlacementCluster): Capacity {
  return {
    cpus: Math.floor(host.cpus * cluster.cpuOvercommit),
    memoryMib: Math.max(0, Math.floor((host.memoryMib - cluster.memoryReservedMib) * cluster.memoryOvercommit)),
  };
}

/** What is left for the VM `vmId`; its own present place on this host counts as free for it. Negative: overcommitted. */
export function free(host: PlacementHost, cluster: PlacementCluster, vmId: string): Capacity {
  let { cpus, memoryMib } = promisable(host, cluster);
  for (const vm of host.vms) {
    if (vm.id === vmId) continue;
    cpus -= vm.cpus;
    memoryMib -= vm.memoryMib;
  }
  return { cpus, memoryMib };
}

/** The VMs committed to a host apart from the one that is being placed. */
export function otherVms(host: PlacementHost, vmId: string): readonly CommittedVm[] {
  return host.vms.filter((vm) => vm.id !== vmId);
}
