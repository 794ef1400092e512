/**
 * Which VMs to move so that the hosts of a cluster carry about the same. Pure; the same world gives the same moves.
 *
 * A host hurts by the squares of its shares of memory and processors in use; a move is worth what hurts less after it, and costs
 * by the memory that has to be copied. The way back of a move is worth exactly as much less than nothing, so nothing goes to and
 * fro. Planning begins when the hosts differ by more than the threshold and goes on until they differ by half of it: a little
 * noise afterwards begins nothing new. What placement forbids is never planned.
 */
import { free, promisable } from '../placement/capacity.ts';
import { byCodePoint, reasonsAgainst } from '../placement/fit.ts';
import type { CommittedVm, PlacementCluster, PlacementHost, PlacementRequest } from '../placement/world.ts';

export interface BalancePolicy {
  /** Difference of the shares in use, 0 to 1, above which moves are planned. */
  readonly threshold: number;
  readonly maxMoves: number;
}

export interface MovableVm {
  readonly hostId: string;
  readonly name: string;
  readonly request: PlacementRequest;
  /** Processors that it uses, when that was measured; otherwise those that it was promised count. */
  readonly cpusUsed?: number;
}

export interface BalanceWorld {
  readonly cluster: PlacementCluster;
  /** With every VM by itself. */
  readonly hosts: readonly PlacementHost[];
  readonly movable: readonly MovableVm[];
}

export interface Load {
  /** Shares in use, 1: all that may be promised. */
  readonly memory: number;
  readonly cpus: number;
}

export interface PlannedMove {
  readonly vmId: string;
  readonly vmName: string;
  readonly fromHostId: string;
  readonly toHostId: string;
  /** How much less the two hosts hurt, its cost taken off. */
  readonly gain: number;
  readonly because: string;
}

/** What copying a VM costs, for each share of its source's memory that it has. */
const costOfMoving = 0.1;
const leastGain = 1e-6;
/** Of large clusters only the extremes are looked at in each step. */
const mostSources = 4;
const mostDestinations = 6;

export function planMoves(world: BalanceWorld, policy: BalancePolicy): PlannedMove[] {
  const moves: PlannedMove[] = [];
  let now = world;
  if (spreadOf(now) <= policy.threshold) return moves;
  while (moves.length < policy.maxMoves && spreadOf(now) > policy.threshold / 2) {
    const best = bestMove(now);
    if (best === undefined) break;
    moves.push(best);
    now = afterMove(now, best);
  }
  return moves;
}

/** How far the hosts that could take VMs are apart, in memory or processors, whichever is more. */
export function spreadOf(world: BalanceWorld): number {
  const loads = usable(world).map((host) => loadOf(host, world));
  if (loads.length < 2) return 0;
  const apart = (shares: readonly number[]): number => Math.max(...shares) - Math.min(...shares);
  return Math.max(apart(loads.map(({ memory }) => memory)), apart(loads.map(({ cpus }) => cpus)));
}

export function loadOf(host: PlacementHost, world: BalanceWorld): Load {
  const all = promisable(host, world.cluster);
  const left = free(host, world.cluster, '');
  let cpus = all.cpus - left.cpus;
  for (const { hostId, cpusUsed, request } of world.movable) {
    if (hostId === host.id && cpusUsed !== undefined) cpus += cpusUsed - request.cpus;
  }
  return { memory: share(all.memoryMib - left.memoryMib, all.memoryMib), cpus: share(cpus, all.cpus) };
}

export function afterMove(world: BalanceWorld, move: Pick<PlannedMove, 'vmId' | 'toHostId'>): BalanceWorld {
  const moved = world.movable.find(({ request }) => request.vmId === move.vmId);
  if (moved === undefined) return world;
  const { cpus, memoryMib, projectId, affinity, antiAffinity } = moved.request;
  const committed: CommittedVm = { id: move.vmId, cpus, memoryMib, projectId, affinity, antiAffinity };
  return {
    cluster: world.cluster,
    hosts: world.hosts.map((host) => {
      const others = host.vms.filter(({ id }) => id !== move.vmId);
      if (host.id === move.toHostId) return { ...host, vms: [...others, committed] };
      return others.length === host.vms.length ? host : { ...host, vms: others };
    }),
    movable: world.movable.map((vm) => (vm === moved ? { ...vm, hostId: move.toHostId } : vm)),
  };
}

function bestMove(world: BalanceWorld): PlannedMove | undefined {
  const loads = new Map(usable(world).map((host) => [host, loadOf(host, world)]));
  const byPain = [...loads].toSorted(([a, x], [b, y]) => pain(y) - pain(x) || byCodePoint(a.name, b.name));
  const sources = byPain.slice(0, mostSources);
  const destinations = byPain.toReversed().slice(0, mostDestinations);
  let best: PlannedMove | undefined;
  for (const [from, fromLoad] of sources) {
    const here = world.movable.filter(({ hostId }) => hostId === from.id);
    for (const vm of here.toSorted((a, b) => byCodePoint(a.name, b.name))) {
      const off = sizeOn(vm, from, world);
      for (const [to, toLoad] of destinations) {
        if (to === from) continue;
        const on = sizeOn(vm, to, world);
        const [fromAfter, toAfter] = [plus(fromLoad, off, -1), plus(toLoad, on, 1)];
        const worth = pain(fromLoad) + pain(toLoad) - pain(fromAfter) - pain(toAfter);
        const gain = worth - costOfMoving * off.memory;
        if (gain < leastGain || (best !== undefined && gain <= best.gain)) continue;
        if (reasonsAgainst(to, vm.request, { cluster: world.cluster, hosts: world.hosts }).length > 0) continue;
        const { vmId, memoryMib } = vm.request;
        const words = `${from.name} is at ${say(fromLoad)}, ${to.name} at ${say(toLoad)}; with ${vm.name} (${memoryMib} MiB) moved they are at ${say(fromAfter)} and ${say(toAfter)}`;
        const ends = { fromHostId: from.id, toHostId: to.id };
        best = { vmId, vmName: vm.name, ...ends, gain, because: words };
      }
    }
  }
  return best;
}

function usable({ hosts }: BalanceWorld): PlacementHost[] {
  return hosts.filter(({ state, schedulable }) => state === 'up' && schedulable);
}

function pain({ memory, cpus }: Load): number {
  return memory ** 2 + cpus ** 2;
}

function sizeOn({ request, cpusUsed }: MovableVm, host: PlacementHost, { cluster }: BalanceWorld): Load {
  const all = promisable(host, cluster);
  return { memory: share(request.memoryMib, all.memoryMib), cpus: share(cpusUsed ?? request.cpus, all.cpus) };
}

function plus(load: Load, more: Load, sign: 1 | -1): Load {
  return { memory: load.memory + sign * more.memory, cpus: load.cpus + sign * more.cpus };
}

function share(part: number, all: number): number {
  return all <= 0 ? 0 : part / all;
}

function say({ memory, cpus }: Load): string {
  return `${Math.round(memory * 100)} % of its memory and ${Math.round(cpus * 100)} % of its CPUs`;
}
