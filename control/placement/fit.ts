/** Whether one host can take a VM, and every reason why it cannot, in the words in which an administrator would look for it. */
import { free, otherVms } from './capacity.ts';
import type { CommittedVm, PlacementHost, PlacementRequest, PlacementWorld } from './world.ts';

/** Models that adapt to the processor they run on. */
const adaptiveCpuModels = new Set(['host', 'maximum']);

/**
 * All reasons against this host; empty when it fits. A host that is out of the question for its own state or by the
 * request's choice gets that one reason: its capacity is of no interest then.
 */
export function reasonsAgainst(host: PlacementHost, request: PlacementRequest, world: PlacementWorld): string[] {
  const outright = outrightReason(host, request);
  if (outright !== undefined) return [outright];
  const reasons = [...capacityReasons(host, request, world), ...reachReasons(host, request)];
  if (request.affinity.length > 0) reasons.push(...affinityReasons(host, request, world));
  if (request.antiAffinity.length > 0) reasons.push(...antiAffinityReasons(host, request));
  return reasons;
}

function outrightReason(host: PlacementHost, request: PlacementRequest): string | undefined {
  if (request.hostId !== undefined && request.hostId !== host.id) return 'another host is asked for';
  if (request.excludeHostIds?.includes(host.id)) return 'is excluded';
  if (host.state === 'joining') return 'has never connected';
  if (host.state === 'down') return 'is down';
  if (host.hypervisorLost === true) return 'its hypervisor does not answer';
  if (!host.schedulable && request.residentHostId !== host.id) return 'takes no new VMs';
  return undefined;
}

function capacityReasons(host: PlacementHost, request: PlacementRequest, world: PlacementWorld): string[] {
  const left = free(host, world.cluster, request.vmId);
  const reasons: string[] = [];
  if (left.memoryMib < request.memoryMib) {
    reasons.push(`${Math.max(0, left.memoryMib)} MiB free of ${request.memoryMib} asked`);
  }
  if (left.cpus < request.cpus) reasons.push(`${Math.max(0, left.cpus)} CPUs free of ${request.cpus} asked`);
  return reasons;
}

function reachReasons(host: PlacementHost, request: PlacementRequest): string[] {
  const reasons: string[] = [];
  if (!adaptiveCpuModels.has(request.cpuModel) && !host.cpuModels.includes(request.cpuModel)) {
    reasons.push(`cannot run the CPU model ${request.cpuModel}`);
  }
  for (const name of lacking(request.poolIds, host.reachablePoolIds, request)) {
    reasons.push(`does not reach the pool ${name}`);
  }
  if (request.volumeHostIds.some((id) => id !== host.id)) reasons.push('a local volume is on another host');
  for (const name of lacking(request.networkIds, host.networkIds, request)) {
    reasons.push(`does not have the network ${name}`);
  }
  for (const name of request.unlinkedHosts?.[host.id] ?? []) reasons.push(`has no uplink to switch ${name}`);
  for (const { switchName, count, onHosts } of request.virtualFunctions ?? []) {
    const { total, free } = onHosts[host.id] ?? { total: 0, free: 0 };
    if (free < count) reasons.push(`${free} of ${total} virtual functions free on switch ${switchName}`);
  }
  return reasons;
}

/** Names of what is asked for and not there, each once. */
function lacking(asked: readonly string[], there: readonly string[], { names }: PlacementRequest): Iterable<string> {
  // Looked at for every host: most of them have everything.
  if (asked.every((id) => there.includes(id))) return [];
  return new Set(asked.filter((id) => !there.includes(id)).map((id) => names?.[id] ?? id));
}

/** A group that has members somewhere must have one here. A group already torn apart may be joined at any of its places. */
function affinityReasons(host: PlacementHost, request: PlacementRequest, world: PlacementWorld): string[] {
  const reasons: string[] = [];
  for (const group of new Set(request.affinity)) {
    const isMember = (vm: CommittedVm): boolean => vm.projectId === request.projectId && vm.affinity.includes(group);
    const isLeft = ({ id }: PlacementHost): boolean => request.leftHostIds?.includes(id) === true;
    const places = world.hosts.filter((each) => !isLeft(each) && otherVms(each, request.vmId).some(isMember));
    if (places.length === 0 || places.includes(host)) continue;
    const placeNames = places.map((each) => each.name).sort(byCodePoint);
    reasons.push(`the affinity group ${group} is on ${placeNames.join(' and ')}`);
  }
  return reasons;
}

function antiAffinityReasons(host: PlacementHost, request: PlacementRequest): string[] {
  const neighbours = otherVms(host, request.vmId).filter((vm) => vm.projectId === request.projectId);
  return [...new Set(request.antiAffinity)]
    .filter((group) => neighbours.some((vm) => vm.antiAffinity.includes(group)))
    .map((group) => `has a VM of the anti-affinity group ${group}`);
}

/** Order that no locale changes. */
export function byCodePoint(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
