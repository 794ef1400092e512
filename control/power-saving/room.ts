/** The room of a cluster with some of its hosts off: what stays free, and whether the promise to failed hosts holds. Pure. */
import { judgeAdmission, type ProtectedVm } from '../ha/admission.ts';
import { free, promisable } from '../placement/capacity.ts';
import { placeVm } from '../placement/place-vm.ts';
import type { PlacementHost } from '../placement/world.ts';
import type { LeavingVm, PowerHost, PowerWorld } from './world.ts';

/** Hosts as they would be, each with every VM by itself. */
export interface Room {
  readonly hosts: readonly PlacementHost[];
  /** Where VMs went that had to leave, by VM id. */
  readonly moved: ReadonlyMap<string, string>;
  /** VMs that were not there before. */
  readonly added: readonly ProtectedVm[];
}

export interface Shares {
  readonly memory: number;
  readonly cpus: number;
}

/** The cluster as it is: only hosts that are on count, or will in a moment with `alsoOn`. */
export function roomNow(world: PowerWorld, alsoOn: ReadonlySet<string> = new Set()): Room {
  const hosts = world.hosts.map(({ placement, power }) => {
    if (alsoOn.has(placement.id)) return { ...plain(placement), state: 'up' as const, schedulable: true };
    return power === 'on' ? placement : { ...plain(placement), schedulable: false };
  });
  return { hosts, moved: new Map(), added: [] };
}

/** The cluster without this host, its VMs on the others; or the name of a VM that finds no place. */
export function roomWithout(world: PowerWorld, host: PowerHost): Room | { readonly homeless: string } {
  const off = { ...plain(host.placement), state: 'down' as const, schedulable: false, vms: [] };
  let hosts = roomNow(world).hosts.map((each) => (each.id === off.id ? off : each));
  const moved = new Map<string, string>();
  for (const vm of host.leaving) {
    const decision = placeVm(vm.request, { cluster: world.cluster, hosts });
    if (!decision.ok) return { homeless: vm.name };
    moved.set(vm.request.vmId, decision.hostId);
    if (vm.committed) hosts = adding(hosts, decision.hostId, vm);
  }
  return { hosts, moved, added: [] };
}

/** The room with this VM in it, or undefined when nothing takes it. */
export function roomWith(
  world: PowerWorld,
  room: Room,
  { name, request }: Omit<ProtectedVm, 'hostId'>,
): Room | undefined {
  const decision = placeVm(request, { cluster: world.cluster, hosts: room.hosts });
  if (!decision.ok) return undefined;
  const { hostId } = decision;
  return { ...room, hosts: adding(room.hosts, hostId, { request }), added: [...room.added, { hostId, name, request }] };
}

/** Of all that the hosts which take VMs may promise; 0 where they may promise nothing. */
export function freeShares({ cluster }: PowerWorld, { hosts }: Room): Shares {
  const sum = { memory: 0, cpus: 0 };
  const all = { memory: 0, cpus: 0 };
  for (const host of hosts) {
    if (host.state !== 'up' || !host.schedulable) continue;
    const [has, left] = [promisable(host, cluster), free(host, cluster, '')];
    all.memory += has.memoryMib;
    all.cpus += has.cpus;
    sum.memory += left.memoryMib;
    sum.cpus += left.cpus;
  }
  const share = (part: number, of: number): number => (of <= 0 ? 0 : part / of);
  return { memory: share(sum.memory, all.memory), cpus: share(sum.cpus, all.cpus) };
}

/** Why the promise to failed hosts would not hold; undefined: it holds, or there is none. */
export function brokenPromise({ cluster, admission }: PowerWorld, { hosts, moved, added }: Room): string | undefined {
  if (admission === null) return undefined;
  const there = admission.protectedVms.map((vm) => ({ ...vm, hostId: moved.get(vm.request.vmId) ?? vm.hostId }));
  const protectedVms = [...there, ...added];
  const verdict = judgeAdmission({ cluster, hosts, protectedVms }, admission.policy);
  return verdict.holds ? undefined : verdict.because;
}

function adding(hosts: readonly PlacementHost[], hostId: string, { request }: Pick<LeavingVm, 'request'>) {
  const { vmId: id, projectId, cpus, memoryMib, affinity, antiAffinity } = request;
  const vm = { id, projectId, cpus, memoryMib, affinity, antiAffinity };
  return hosts.map((host) => (host.id === hostId ? { ...plain(host), vms: [...host.vms, vm] } : host));
}

/** Getters of a host are not copied by a spread. */
function plain(host: PlacementHost): PlacementHost {
  const { id, name, state, schedulable, cpus, memoryMib, cpuModels, reachablePoolIds, networkIds, vms } = host;
  return { id, name, state, schedulable, cpus, memoryMib, cpuModels, reachablePoolIds, networkIds, vms };
}
