/**
 * Which host translates for a router. The one that does goes on as long as it can (a change cuts every session); else the
 * able host with the fewest gateways takes over, equal ones by their ids, so that all managers choose alike.
 *
 * Invariant: no two hosts answer for the same addresses. Nobody takes over from a host that is down before that one has surely
 * ended its part (`gateway-release.ts`), nor from one that lives before it has said so: it is told to end, and while it has not
 * answered nobody is told to begin. So a router ends at a host only when another one can take it.
 */
import { settledAfterMs } from '../ha/network-loss.ts';

/** What a host needs to lead out, and lacks. */
export interface GatewayLoss {
  /** "the uplink eno2 is down" */
  readonly because: string;
  /** Infinity: it is no matter of cables. */
  readonly forMs: number;
}

export interface GatewayHost {
  readonly hostId: string;
  readonly up: boolean;
  /** It is down, and surely translates no more. */
  readonly released: boolean;
  /** What it lacks for every router; null: nothing. */
  readonly loss: GatewayLoss | null;
  /** Its uplinks by their switch (null: its default uplink), with what they lack. */
  readonly uplinks: readonly { readonly switchId: string | null; readonly loss: GatewayLoss | null }[];
}

export interface GatewayRouter {
  readonly routerId: string;
  /** Switch of its external network; null: each host's default uplink. */
  readonly switchId: string | null;
  readonly gatewayHostId: string | null;
  /** Whether its gateway host was told to end its part, so that nobody translates; `ended`: it has said that it did. */
  readonly ending: 'no' | 'asked' | 'ended';
}

/** `end`: its host shall say that it has ended. `go-on`: it shall translate again. `serve`: this host translates from now on. */
export interface GatewayAction {
  readonly do: 'end' | 'go-on' | 'serve';
  readonly routerId: string;
  readonly hostId: string;
  readonly because: string;
}

const noUplink: GatewayLoss = { because: 'it has no uplink of the switch', forMs: Infinity };

export function chooseGateways(routers: readonly GatewayRouter[], hosts: readonly GatewayHost[]): GatewayAction[] {
  const load = new Map(hosts.map(({ hostId }) => [hostId, 0]));
  const known = new Map(hosts.map((host) => [host.hostId, host]));
  const add = (hostId: string): void => void load.set(hostId, (load.get(hostId) ?? 0) + 1);
  const leaving: { readonly router: GatewayRouter; readonly because: string; readonly free: boolean }[] = [];
  const actions: GatewayAction[] = [];
  for (const router of routers) {
    const { routerId, gatewayHostId, ending } = router;
    const host = gatewayHostId === null ? undefined : known.get(gatewayHostId);
    const loss = host && lossOf(host, router);
    if (host === undefined) leaving.push({ router, because: 'it had no gateway host', free: true });
    else if (!host.up && !host.released && ending !== 'ended') add(host.hostId);
    else if (!host.up) leaving.push({ router, because: 'its gateway host is down', free: true });
    else if (loss && (ending !== 'no' || loss.forMs >= settledAfterMs)) {
      const because = `its gateway host cannot serve it any more: ${loss.because}`;
      leaving.push({ router, because, free: ending === 'ended' });
    } else {
      add(host.hostId);
      if (ending === 'no') continue;
      actions.push({ do: 'go-on', routerId, hostId: host.hostId, because: 'its gateway host can serve it again' });
    }
  }
  for (const { router, because, free } of leaving.sort((a, b) => (a.router.routerId < b.router.routerId ? -1 : 1))) {
    const { routerId, gatewayHostId, ending } = router;
    const [best] = hosts
      .filter((host) => host.up && lossOf(host, router) === null)
      .sort((a, b) => load.get(a.hostId)! - load.get(b.hostId)! || (a.hostId < b.hostId ? -1 : 1));
    if (best === undefined) {
      // Nobody can: it stays where it was, and works again when that host does.
      if (gatewayHostId === null || ending === 'no') continue;
      actions.push({ do: 'go-on', routerId, hostId: gatewayHostId, because: `${because}, nor can another` });
      continue;
    }
    add(best.hostId);
    if (free) actions.push({ do: 'serve', routerId, hostId: best.hostId, because });
    else if (ending === 'no') actions.push({ do: 'end', routerId, hostId: gatewayHostId!, because });
  }
  return actions;
}

/** What this host lacks to lead out for this router; null: nothing. */
export function lossOf(
  { loss, uplinks }: Pick<GatewayHost, 'loss' | 'uplinks'>,
  { switchId }: Pick<GatewayRouter, 'switchId'>,
): GatewayLoss | null {
  if (loss !== null) return loss;
  const uplink = uplinks.find((one) => one.switchId === switchId);
  return uplink === undefined ? noUplink : uplink.loss;
}
