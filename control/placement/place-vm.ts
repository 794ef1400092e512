/**
 * Chooses the host on which a VM is to run. Pure: the same request and world always give the same decision, in whatever
 * order the hosts come.
 *
 * Invariants: the chosen host has room within the cluster's overcommit and keeps every affinity and anti-affinity; a
 * refusal names every host with its reason. The decision reserves nothing: whoever takes it commits it to the world (in
 * one transaction with having read that world) before asking again. That alone keeps simultaneous creates from
 * overcommitting a host.
 */
import { free, promisable } from './capacity.ts';
import { byCodePoint, reasonsAgainst } from './fit.ts';
import type { PlacementDecision, PlacementHost, PlacementRefusal, PlacementRequest, PlacementWorld } from './world.ts';

export function placeVm(request: PlacementRequest, world: PlacementWorld): PlacementDecision {
  const pack = world.cluster.placementPolicy === 'pack';
  const refusals: PlacementRefusal[] = [];
  let fitting = 0;
  let best: Candidate | undefined;
  for (const host of byName(world.hosts)) {
    const reasons = reasonsAgainst(host, request, world);
    if (reasons.length > 0) {
      refusals.push({ hostId: host.id, hostName: host.name, reason: reasons.join(', ') });
      continue;
    }
    fitting += 1;
    const freeShare = freeShareAfter(host, request, world);
    // Of hosts with the same share the first by name stays.
    if (best === undefined || (pack ? freeShare < best.freeShare : freeShare > best.freeShare))
      best = { host, freeShare };
  }
  if (best === undefined) return { ok: false, refusals };
  return { ok: true, hostId: best.host.id, because: because(best, fitting, request, pack), refusals };
}

/** All refusals in one line: `h1: is down; h2: 96 MiB free of 128 asked`. */
export function describeRefusals(refusals: readonly PlacementRefusal[]): string {
  if (refusals.length === 0) return 'the cluster has no hosts';
  return refusals.map((refusal) => `${refusal.hostName}: ${refusal.reason}`).join('; ');
}

interface Candidate {
  readonly host: PlacementHost;
  readonly freeShare: number;
}

function byName(hosts: readonly PlacementHost[]): readonly PlacementHost[] {
  return hosts.toSorted((a, b) => byCodePoint(a.name, b.name) || byCodePoint(a.id, b.id));
}

/**
 * The share of the host's memory that stays free with the VM on it. Taken after the placement, not before, so that a
 * large VM goes to the large host with something on it rather than filling a small empty one.
 */
function freeShareAfter(host: PlacementHost, request: PlacementRequest, world: PlacementWorld): number {
  const total = promisable(host, world.cluster).memoryMib;
  return total === 0 ? 0 : (free(host, world.cluster, request.vmId).memoryMib - request.memoryMib) / total;
}

function because(best: Candidate, count: number, request: PlacementRequest, pack: boolean): string {
  if (request.hostId !== undefined) return `${best.host.name} was asked for and fits`;
  if (count === 1) return `${best.host.name} is the only host that fits`;
  const percent = Math.round(best.freeShare * 100);
  return `${best.host.name} keeps ${percent} % of its memory free, the ${pack ? 'least' : 'most'} of ${count} hosts that fit`;
}
