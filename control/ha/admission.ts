/**
 * Whether a cluster keeps room to restart the VMs of hosts that fail. Pure; for a case that is not obviously well it asks the
 * same `placeVm` that restarts will ask, in the same order.
 *
 * Most cases are decided by counting slots: a slot holds the largest VM that would be restarted anywhere. While the other hosts
 * have as many slots as the failed one has VMs, no order of placing can run out of room, for each VM takes one slot at most. VMs
 * that not every host takes (groups, a CPU model, a pool) are placed for real.
 */
import { free, promisable } from '../placement/capacity.ts';
import { describeRefusals, placeVm } from '../placement/place-vm.ts';
import type { CommittedVm, PlacementCluster, PlacementHost, PlacementRequest } from '../placement/world.ts';

export interface AdmissionPolicy {
  readonly by: 'host-failures' | 'share' | 'spare-hosts';
  readonly hostFailures: number;
  /** Of memory and of processors, 0 to 1. */
  readonly share: number;
  /** Names. */
  readonly spareHosts: readonly string[];
}

/** A VM that would be restarted when its host fails. */
export interface ProtectedVm {
  readonly hostId: string;
  readonly name: string;
  readonly request: PlacementRequest;
}

export interface AdmissionWorld {
  readonly cluster: PlacementCluster;
  /** With every VM by itself. */
  readonly hosts: readonly PlacementHost[];
  /** In the order in which they would be placed. */
  readonly protectedVms: readonly ProtectedVm[];
}

/** These hosts fail together. */
export interface FailureCase {
  readonly hostNames: readonly string[];
  readonly vms: number;
  readonly homeless: readonly {
    readonly vmId: string;
    readonly name: string;
    readonly memoryMib: number;
    readonly reason: string;
  }[];
}

export interface AdmissionVerdict {
  readonly holds: boolean;
  readonly because: string;
  /** Those that would not go well. */
  readonly cases: readonly FailureCase[];
}

/** Of failures of several hosts at once, at most so many combinations are tried, those of the fullest hosts. */
const mostCombinations = 500;
const adaptiveCpuModels = new Set(['host', 'maximum']);

export function judgeAdmission(world: AdmissionWorld, policy: AdmissionPolicy): AdmissionVerdict {
  switch (policy.by) {
    case 'host-failures':
      return byHostFailures(world, policy.hostFailures);
    case 'share':
      return byShare(world, policy.share);
    case 'spare-hosts':
      return bySpareHosts(world, policy.spareHosts);
  }
}

function byHostFailures(world: AdmissionWorld, count: number): AdmissionVerdict {
  if (count === 0) return { holds: true, because: 'no host failure is to be survived', cases: [] };
  const slots = slotsOf(world);
  const cases: FailureCase[] = [];
  for (const failed of combinations(world, count)) {
    const found = fail(world, failed, slots);
    if (found.homeless.length > 0) cases.push(found);
  }
  const which = count === 1 ? 'any one host' : `any ${count} hosts`;
  if (cases.length === 0) return { holds: true, because: `the VMs of ${which} find room on the others`, cases };
  return { holds: false, because: cases.map(describeCase).join('; '), cases };
}

/** `if h2 died, 3 VMs (640 MiB) would not fit: web (h1: 96 MiB free of 128 asked; …), …` */
export function describeCase({ hostNames, homeless }: FailureCase): string {
  const memoryMib = homeless.reduce((sum, vm) => sum + vm.memoryMib, 0);
  const some = homeless.slice(0, 3).map(({ name, reason }) => `${name} (${reason})`);
  const more = homeless.length > some.length ? ` and ${homeless.length - some.length} more` : '';
  const vms = homeless.length === 1 ? '1 VM' : `${homeless.length} VMs`;
  return `if ${hostNames.join(' and ')} died, ${vms} (${memoryMib} MiB) would not fit: ${some.join(', ')}${more}`;
}

/** What would become of the VMs of these hosts. */
export function fail(world: AdmissionWorld, failed: readonly PlacementHost[], slots?: Slots): FailureCase {
  const gone = new Set(failed.map(({ id }) => id));
  const lost = world.protectedVms.filter(({ hostId }) => gone.has(hostId));
  const hostNames = failed.map(({ name }) => name);
  const left = world.hosts.filter(({ id }) => !gone.has(id));
  if (slots !== undefined && lost.every(({ request }) => slots.isPlain(request)) && slots.of(left) >= lost.length)
    return { hostNames, vms: lost.length, homeless: [] };
  let hosts = left;
  const homeless: FailureCase['homeless'][number][] = [];
  for (const { request, name } of lost) {
    const decision = placeVm(request, { cluster: world.cluster, hosts });
    if (!decision.ok) {
      const reason = describeRefusals(decision.refusals);
      homeless.push({ vmId: request.vmId, name, memoryMib: request.memoryMib, reason });
      continue;
    }
    hosts = hosts.map((host) =>
      host.id === decision.hostId ? { ...plain(host), vms: [...host.vms, committed(request)] } : host,
    );
  }
  return { hostNames, vms: lost.length, homeless };
}

interface Slots {
  of(hosts: readonly PlacementHost[]): number;
  isPlain(request: PlacementRequest): boolean;
}

function slotsOf({ cluster, hosts, protectedVms }: AdmissionWorld): Slots {
  const usable = hosts.filter(({ state, schedulable }) => state === 'up' && schedulable);
  const largest = {
    cpus: Math.max(1, ...protectedVms.map(({ request }) => request.cpus)),
    memoryMib: Math.max(1, ...protectedVms.map(({ request }) => request.memoryMib)),
  };
  const counted = new Map(
    usable.map((host) => {
      const left = free(host, cluster, '');
      const slots = Math.min(Math.floor(left.memoryMib / largest.memoryMib), Math.floor(left.cpus / largest.cpus));
      return [host.id, Math.max(0, slots)];
    }),
  );
  const everywhere = (pick: (host: PlacementHost) => readonly string[], id: string): boolean =>
    usable.every((host) => pick(host).includes(id));
  const pools = new Map<string, boolean>();
  const reached = (id: string): boolean => {
    const known = pools.get(id) ?? everywhere(({ reachablePoolIds }) => reachablePoolIds, id);
    pools.set(id, known);
    return known;
  };
  return {
    of: (some) => some.reduce((sum, { id }) => sum + (counted.get(id) ?? 0), 0),
    isPlain: (request) =>
      request.affinity.length === 0 &&
      request.antiAffinity.length === 0 &&
      request.volumeHostIds.length === 0 &&
      request.networkIds.length === 0 &&
      adaptiveCpuModels.has(request.cpuModel) &&
      request.poolIds.every(reached),
  };
}

/** Sets of hosts that may fail together: of those that have VMs to lose. */
function combinations({ hosts, protectedVms }: AdmissionWorld, count: number): (readonly PlacementHost[])[] {
  const lostOn = Map.groupBy(protectedVms, ({ hostId }) => hostId);
  const weight = ({ id }: PlacementHost): number =>
    (lostOn.get(id) ?? []).reduce((sum, { request }) => sum + request.memoryMib, 0);
  // A host without VMs takes its room with it, so it counts too when several fail.
  const up = hosts.filter(({ state, id }) => state === 'up' && (count > 1 || lostOn.has(id)));
  if (count === 1) return up.map((host) => [host]);
  const fullest = up.toSorted((a, b) => weight(b) - weight(a) || (a.name < b.name ? -1 : 1));
  let sets: (readonly number[])[] = [[]];
  for (let size = 0; size < Math.min(count, up.length); size += 1) {
    sets = sets.flatMap((set) =>
      Array.from({ length: fullest.length - 1 - (set.at(-1) ?? -1) }, (_, at) => [...set, (set.at(-1) ?? -1) + 1 + at]),
    );
    if (sets.length > mostCombinations) sets = sets.slice(0, mostCombinations);
  }
  return sets.map((set) => set.map((at) => fullest[at]!));
}

function byShare({ cluster, hosts }: AdmissionWorld, share: number): AdmissionVerdict {
  const up = hosts.filter(({ state }) => state === 'up');
  const lacking: string[] = [];
  for (const [what, words] of [
    ['memoryMib', 'MiB of memory'],
    ['cpus', 'CPUs'],
  ] as const) {
    const all = up.reduce((sum, host) => sum + promisable(host, cluster)[what], 0);
    const left = up.reduce((sum, host) => sum + Math.max(0, free(host, cluster, '')[what]), 0);
    if (left < share * all) lacking.push(`${left} of ${all} ${words} are free, less than ${Math.round(share * 100)} %`);
  }
  if (lacking.length > 0) return { holds: false, because: lacking.join('; '), cases: [] };
  return { holds: true, because: `${Math.round(share * 100)} % of memory and CPUs are free`, cases: [] };
}

function bySpareHosts({ hosts }: AdmissionWorld, names: readonly string[]): AdmissionVerdict {
  const wrong = names.flatMap((name) => {
    const host = hosts.find((each) => each.name === name);
    if (host === undefined) return [`there is no host ${name}`];
    if (host.state !== 'up') return [`the spare host ${name} is ${host.state}`];
    return host.vms.length > 0 ? [`the spare host ${name} has ${host.vms.length} VM(s)`] : [];
  });
  if (wrong.length > 0) return { holds: false, because: wrong.join('; '), cases: [] };
  return { holds: true, because: `${names.join(', ') || 'no host'} stand(s) by`, cases: [] };
}

/** Getters of a host are not copied by a spread. */
function plain(host: PlacementHost): PlacementHost {
  const { id, name, state, schedulable, cpus, memoryMib, cpuModels, reachablePoolIds, networkIds, vms } = host;
  return { id, name, state, schedulable, cpus, memoryMib, cpuModels, reachablePoolIds, networkIds, vms };
}

function committed({ vmId, projectId, cpus, memoryMib, affinity, antiAffinity }: PlacementRequest): CommittedVm {
  return { id: vmId, projectId, cpus, memoryMib, affinity, antiAffinity };
}
