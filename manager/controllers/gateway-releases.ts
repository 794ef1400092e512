/**
 * Which hosts that are down translate for routers no more: those proven off, at once; others when nobody has heard them for the time
 * that their agents keep to (`api/agent/gateway-term.ts`). Remembers since when nobody hears whom.
 *
 * Invariant: only time counts in which this manager looked: it forgets everything when it could not look for a while.
 */
import { gatewayTakeOverAfterMs } from '@kvasir/api/agent/gateway-term.ts';
import { isUnheard, type ReleaseHost } from '@kvasir/control/network/gateway-release.ts';

/** Looks come each second. */
const longestGapMs = 3000;

export class GatewayReleases {
  readonly #unheardSince = new Map<string, number>();
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** @param clusters the hosts of each cluster */
  look(clusters: readonly (readonly ReleaseHost[])[], now: number): Set<string> {
    if (now - this.#lookedMs > longestGapMs || now < this.#lookedMs) this.#unheardSince.clear();
    this.#lookedMs = now;
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
    if (!isUnheard(host, others, now)) {
      this.#unheardSince.delete(host.hostId);
      return false;
    }
    const since = this.#unheardSince.get(host.hostId) ?? now;
    this.#unheardSince.set(host.hostId, since);
    return now - since >= gatewayTakeOverAfterMs;
  }
}
