/**
 * What hosts lack to lead out for routers, and since when: their physical connections as they report them, and that they are to be
 * left. Remembers since when a connection is down, so that a cable that is back in a moment moves nothing.
 *
 * What a host does not tell of counts as there: a gateway leaves only for what is known.
 */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { lostUplinks } from '@kvasir/control/ha/signals.ts';
import type { GatewayHost, GatewayLoss } from '@kvasir/control/network/gateway.ts';
import type { HostRow } from '../store/hosts.ts';
import type { UplinkRow } from '../store/switches.ts';
import { HeldFor } from './held-for.ts';

/** Looks come each second. */
const longestGapMs = 3000;

export interface LinkedHost {
  readonly row: Pick<HostRow, 'id' | 'inventory'>;
  readonly liveness: { readonly report: Liveness; readonly atMs: number } | undefined;
  readonly uplinks: readonly UplinkRow[];
  /** Why it is to have no gateways though it could, e.g. that it is taken out; null: nothing is against it. */
  readonly leavingBecause: string | null;
}

export class GatewayLinks {
  readonly #down = new HeldFor(longestGapMs);

  /** Begins a round. */
  look(now: number): void {
    this.#down.look(now);
  }

  of({ row, liveness, uplinks, leavingBecause }: LinkedHost): Pick<GatewayHost, 'loss' | 'uplinks'> {
    const { id, inventory } = row;
    const [down] = lostUplinks({ liveness: liveness ?? null });
    const loss =
      settled(leavingBecause) ??
      settled((inventory?.tunnelAddress ?? null) === null ? 'no tunnel leads to it' : null) ??
      this.#loss(id, down === undefined ? null : `its uplink ${down} is down`);
    const reports = new Map((inventory?.uplinks ?? []).map((report) => [report.uplinkId, report]));
    const { defaultUplink } = inventory ?? {};
    const noDefault = defaultUplink?.up === false ? `its uplink ${defaultUplink.nics.join(', ')} is down` : null;
    const own = uplinks.map(({ id: uplinkId, switchId, name }) => {
      const isDown = reports.get(uplinkId)?.up === false;
      return { switchId, loss: this.#loss(`${id} ${uplinkId}`, isDown ? `its uplink ${name} is down` : null) };
    });
    return { loss, uplinks: [{ switchId: null, loss: this.#loss(`${id} default`, noDefault) }, ...own] };
  }

  #loss(key: string, because: string | null): GatewayLoss | null {
    if (because !== null) return { because, forMs: this.#down.holds(key) };
    this.#down.ends(key);
    return null;
  }
}

/** No matter of cables, and not back in a moment. */
function settled(because: string | null): GatewayLoss | null {
  return because === null ? null : { because, forMs: Infinity };
}
