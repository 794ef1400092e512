/**
 * What placement is told and what it answers: plain data, so that the same decision can be taken by the manager, in the
 * simulation and in a test. Field names are those of the API's resources.
 *
 * What counts as committed: a VM stands in `PlacementHost.vms` of every host on which its memory is or will be in use:
 * running, paused, being created, started or migrated there (a migration counts on both ends), and also while its host is
 * not connected, since it may well be running. Stopped, suspended (its memory is on disk) and trashed VMs do not count,
 * and so neither keep capacity nor hold their groups together: they are placed again when they start.
 */
import type { Cluster } from '@kvasir/api/resources/cluster.ts';
import type { Host } from '@kvasir/api/resources/host.ts';

export interface PlacementRequest {
  readonly vmId: string;
  readonly cpus: number;
  readonly memoryMib: number;
  /** `host`, `maximum` or a model that libvirt names. */
  readonly cpuModel: string;
  /** Pools that hold its disks; the host must reach all of them. */
  readonly poolIds: readonly string[];
  /** One entry for each volume in a local pool: the host that has it. Empty: no volume pins the VM. */
  readonly volumeHostIds: readonly string[];
  readonly networkIds: readonly string[];
  /** Groups whose committed members of the same project this VM must join. */
  readonly affinity: readonly string[];
  /** Groups whose committed members of the same project this VM must keep away from. */
  readonly antiAffinity: readonly string[];
  readonly projectId: string;
  /** Exactly this host, if it fits. */
  readonly hostId?: string | undefined;
  /** Where the VM is defined already: that host may take it though it is closed to new ones. */
  readonly residentHostId?: string | undefined;
  readonly excludeHostIds?: readonly string[] | undefined;
  /**
   * Hosts that VMs leave, being dead or emptied: members of its affinity groups there do not hold it, for they are to follow it.
   * Left out: none.
   */
  readonly leftHostIds?: readonly string[] | undefined;
  /** Hosts without an uplink of a switch that its networks are on -> the names of those switches; left out: none. */
  readonly unlinkedHosts?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Virtual functions that its NICs need; left out: none. */
  readonly virtualFunctions?: readonly FunctionsNeeded[] | undefined;
  /** How reasons call pools and networks (id -> name); an id without a name is shown as it is. */
  readonly names?: Readonly<Record<string, string>> | undefined;
}

/** So many virtual functions behind the uplinks of one switch, and where there are some; hosts without any are left out. */
export interface FunctionsNeeded {
  readonly switchName: string;
  readonly count: number;
  readonly onHosts: Readonly<Record<string, { readonly total: number; readonly free: number }>>;
}

export type PlacementCluster = Pick<
  Cluster,
  'placementPolicy' | 'cpuOvercommit' | 'memoryOvercommit' | 'memoryReservedMib'
>;

/** A VM whose capacity is taken on its host, see above. */
export interface CommittedVm {
  readonly id: string;
  readonly projectId: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly affinity: readonly string[];
  readonly antiAffinity: readonly string[];
}

export interface PlacementHost {
  readonly id: string;
  readonly name: string;
  readonly state: Host['state'];
  readonly schedulable: boolean;
  /** Its agent is heard, but nothing can be started there now; left out: it can. */
  readonly hypervisorLost?: boolean;
  readonly cpus: number;
  readonly memoryMib: number;
  /** Models that libvirt can run here, by its names. */
  readonly cpuModels: readonly string[];
  readonly reachablePoolIds: readonly string[];
  readonly networkIds: readonly string[];
  readonly vms: readonly CommittedVm[];
}

/** One cluster: a VM never leaves it. */
export interface PlacementWorld {
  readonly cluster: PlacementCluster;
  readonly hosts: readonly PlacementHost[];
}

/** Why one host cannot take the VM; reads as `${hostName}: ${reason}`. */
export interface PlacementRefusal {
  readonly hostId: string;
  readonly hostName: string;
  readonly reason: string;
}

/** `refusals` lists, by host name, every host that does not fit; with `ok: false` that is every host of the world. */
export type PlacementDecision =
  | {
      readonly ok: true;
      readonly hostId: string;
      readonly because: string;
      readonly refusals: readonly PlacementRefusal[];
    }
  | { readonly ok: false; readonly refusals: readonly PlacementRefusal[] };
