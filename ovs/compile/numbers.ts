/**
 * Small numbers for long ids: flows match on them, connection tracking takes them as zones, meters are named after them.
 *
 * Invariants: what has a number keeps it as long as it is in the slice; ports and routers share one space (a zone is of one
 * port or one router alone); 0 is nobody's; a number that comes free is given away in a later step at the earliest, so that
 * the host can flush its zone between.
 */
import type { Port, Slice } from './slice.ts';

export interface Numbers {
  /** `networkId` -> what stands in `metadata`. */
  readonly networks: Readonly<Record<string, number>>;
  /** `portKey` -> zone. */
  readonly ports: Readonly<Record<string, number>>;
  /** `routerId` -> zone. */
  readonly routers: Readonly<Record<string, number>>;
  /** `profileKey` -> number of this combination of security groups. */
  readonly profiles: Readonly<Record<string, number>>;
}

export const noNumbers: Numbers = { networks: {}, ports: {}, routers: {}, profiles: {} };

const largestZone = 0xffff;

/** A NIC, or one guest VLAN of a trunk. */
export function portKey(port: Pick<Port, 'nicId' | 'guestVlan'>): string {
  return port.guestVlan === null ? port.nicId : `${port.nicId}/${port.guestVlan}`;
}

/** Ports with the same groups share their rules' flows. */
export function profileKey(port: Pick<Port, 'securityGroupIds'>): string {
  return [...new Set(port.securityGroupIds)].sort().join('+');
}

/**
 * Throws a `RangeError` when a host has more than 65,535 ports and routers.
 * @param unflushed zones that nobody uses, and nobody may yet
 */
export function allocateNumbers(previous: Numbers, slice: Slice, unflushed: readonly number[] = []): Numbers {
  const zones = new Set([...Object.values(previous.ports), ...Object.values(previous.routers), ...unflushed]);
  const ports = slice.ports.filter((port) => !port.hardware);
  const networks = new Set(Object.values(previous.networks));
  const profiles = new Set(Object.values(previous.profiles));
  const filtered = ports.filter((port) => port.filtered);
  const wanted = {
    networks: keep(
      previous.networks,
      slice.networks.map((network) => network.networkId),
      networks,
    ),
    ports: keep(previous.ports, ports.map(portKey), zones),
    routers: keep(
      previous.routers,
      slice.routers.map((router) => router.routerId),
      zones,
    ),
    profiles: keep(previous.profiles, filtered.map(profileKey), profiles),
  };
  return wanted;
}

/** Zones that nobody uses any more: their connections must be flushed before the next allocation. */
export function releasedZones(previous: Numbers, next: Numbers): number[] {
  const used = new Set([...Object.values(next.ports), ...Object.values(next.routers)]);
  return [...Object.values(previous.ports), ...Object.values(previous.routers)].filter((zone) => !used.has(zone));
}

/** Adds to `taken` what it gives. */
function keep(previous: Readonly<Record<string, number>>, keys: readonly string[], taken: Set<number>) {
  const result: Record<string, number> = {};
  let next = 1;
  for (const key of [...new Set(keys)].sort()) {
    const kept = previous[key];
    if (kept !== undefined) {
      result[key] = kept;
      continue;
    }
    while (taken.has(next)) next += 1;
    if (next > largestZone) throw new RangeError('more ports, routers or networks than a host can number');
    taken.add(next);
    result[key] = next;
  }
  return result;
}
