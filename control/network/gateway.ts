/**
 * Which host translates for a router. The one that does goes on as long as it can (a change cuts every session); else the
 * able host with the fewest gateways takes over, equal ones by their ids, so that all managers choose alike.
 *
 * Invariant: nobody takes over from a host that is down before that one has surely ended its part (`gateway-release.ts`), or two hosts
 * would answer for the same addresses.
 */
export interface GatewayHost {
  readonly hostId: string;
  readonly up: boolean;
  /** It is down, and surely translates no more. */
  readonly released: boolean;
  /** null: no tunnel leads there. */
  readonly tunnelAddress: string | null;
  /** Switches that it has an uplink of. */
  readonly switchIds: readonly string[];
}

export interface GatewayRouter {
  readonly routerId: string;
  /** Switch of its external network; null: each host's default uplink. */
  readonly switchId: string | null;
  readonly gatewayHostId: string | null;
}

export interface GatewayMove {
  readonly routerId: string;
  readonly hostId: string;
  readonly because: string;
}

export function chooseGateways(routers: readonly GatewayRouter[], hosts: readonly GatewayHost[]): GatewayMove[] {
  const load = new Map(hosts.map(({ hostId }) => [hostId, 0]));
  const known = new Map(hosts.map((host) => [host.hostId, host]));
  const add = (hostId: string): void => void load.set(hostId, (load.get(hostId) ?? 0) + 1);
  const homeless: GatewayRouter[] = [];
  for (const router of routers) {
    const host = router.gatewayHostId === null ? undefined : known.get(router.gatewayHostId);
    if (host === undefined || host.released || (host.up && !isAble(host, router))) homeless.push(router);
    else add(host.hostId);
  }
  const moves: GatewayMove[] = [];
  for (const router of homeless.sort((a, b) => (a.routerId < b.routerId ? -1 : 1))) {
    const [best] = hosts
      .filter((host) => isAble(host, router))
      .sort((a, b) => load.get(a.hostId)! - load.get(b.hostId)! || (a.hostId < b.hostId ? -1 : 1));
    // Nobody can: it stays where it was, and works again when that host does.
    if (best === undefined) continue;
    add(best.hostId);
    const because =
      router.gatewayHostId === null ? 'it had no gateway host' : 'its gateway host cannot serve it any more';
    moves.push({ routerId: router.routerId, hostId: best.hostId, because });
  }
  return moves;
}

function isAble({ up, tunnelAddress, switchIds }: GatewayHost, { switchId }: GatewayRouter): boolean {
  return up && tunnelAddress !== null && (switchId === null || switchIds.includes(switchId));
}
