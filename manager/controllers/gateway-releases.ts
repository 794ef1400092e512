/**
 * Which hosts that are down translate for routers no more: those proven off, at once; others when nobody has heard them for the time
 * that their agents keep to (`api/agent/gateway-term.ts`), of which only what this manager watched counts.
 */
import { gatewayTakeOverAfterMs } from '@kvasir/api/agent/gateway-term.ts';
import { isUnheard, type ReleaseHost } from '@kvasir/control/network/gateway-release.ts';
import { HeldFor } from './held-for.ts';

/** Looks come each second. */
const longestGapMs = 3000;

export class GatewayReleases {
  readonly #unheard = new HeldFor(longestGapMs);

  /** @param clusters the hosts of each cluster */
  look(clusters: readonly (readonly ReleaseHost[])[], now: number): Set<string> {
    this.#unheard.look(now);
    const released = new Set<string>();
    for (const hosts of clusters) {
      for (const host of hosts) {
        if (this.#isReleased(host, hosts, now)) released.add(host.hostId);
      }
    }
    return released;
  }

  #isReleased(host: ReleaseHost, cluster: readonly ReleaseHost[], now: number): boolean {
    if (!host.up && host.provenOff) return true;
    const others = cluster.filter(({ hostId }) => hostId !== host.hostId);
    if (isUnheard(host, others, now)) return this.#unheard.holds(host.hostId) >= gatewayTakeOverAfterMs;
    this.#unheard.ends(host.hostId);
    return false;
  }
}
