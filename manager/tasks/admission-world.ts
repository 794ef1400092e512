/** A cluster as admission control sees it, read in the caller's transaction: hosts with every VM by itself. */
import type { AdmissionPolicy, AdmissionWorld, ProtectedVm } from '@kvasir/control/ha/admission.ts';
import type { CommittedVm, PlacementHost } from '@kvasir/control/placement/world.ts';
import type { HaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import { clusters } from '../store/clusters.ts';
import { isCommitted } from '../store/commitments.ts';
import type { Executor } from '../store/database.ts';
import { vmHaOf } from '../store/ha-settings.ts';
import { readPlacementHosts } from '../store/placement-hosts.ts';
import { vms } from '../store/vms.ts';
import { requestsFor } from './ha-placement.ts';

const rank = { high: 0, medium: 1, low: 2 } as const;

export async function readAdmissionWorld(db: Executor, clusterId: string): Promise<AdmissionWorld> {
  const { cluster, hosts, vmIds } = await readAdmissionHosts(db, clusterId);
  return { cluster, hosts, protectedVms: await readProtected(db, vmIds) };
}

/** `vmIds`: all that count on a host. */
export async function readAdmissionHosts(
  db: Executor,
  clusterId: string,
): Promise<Omit<AdmissionWorld, 'protectedVms'> & { readonly vmIds: readonly string[] }> {
  const cluster = await clusters.get(db, clusterId);
  const rows = await db.selectFrom('vms').selectAll().where('clusterId', '=', clusterId).where(isCommitted).execute();
  const found = rows.map((row) => vms.decode(row));
  const on = new Map<string, CommittedVm[]>();
  for (const vm of found) {
    const { id, projectId, cpus, memoryMib, affinity, antiAffinity } = vm;
    for (const hostId of new Set([vm.hostId, vm.reservedHostId])) {
      if (hostId === null) continue;
      const here = on.get(hostId) ?? [];
      here.push({ id, projectId, cpus, memoryMib, affinity, antiAffinity });
      on.set(hostId, here);
    }
  }
  const hosts = (await readPlacementHosts(db, { clusterId })).map((host): PlacementHost => {
    const { id, name, state, schedulable, hypervisorLost, cpus, memoryMib, cpuModels, reachablePoolIds, networkIds } =
      host;
    const has = { cpuModels, reachablePoolIds, networkIds, vms: on.get(id) ?? [] };
    return { id, name, state, schedulable, hypervisorLost, cpus, memoryMib, ...has };
  });
  return { cluster, hosts, vmIds: found.map(({ id }) => id) };
}

/** Those that would be restarted, in the order of restarts. */
export async function readProtected(db: Executor, ids: readonly string[]): Promise<ProtectedVm[]> {
  const settings = await vmHaOf(db, ids);
  const requests = await requestsFor(db, ids);
  return requests
    .filter(({ vm, request }) => {
      const wanted = vm.desiredState === 'running' || vm.desiredState === 'paused';
      return wanted && vm.hostId !== null && settings.get(vm.id)!.enabled && request.volumeHostIds.length === 0;
    })
    .toSorted((a, b) => {
      const byRank = rank[settings.get(a.vm.id)!.priority] - rank[settings.get(b.vm.id)!.priority];
      return byRank || (a.vm.name < b.vm.name ? -1 : a.vm.name > b.vm.name ? 1 : 0) || (a.vm.id < b.vm.id ? -1 : 1);
    })
    .map(({ vm, request }) => ({ hostId: vm.hostId!, name: vm.name, request }));
}

export function admissionPolicy(policy: HaPolicy): AdmissionPolicy {
  return {
    by: policy.admissionBy,
    hostFailures: policy.admissionHostFailures,
    share: policy.admissionShare,
    spareHosts: policy.admissionSpareHosts,
  };
}
