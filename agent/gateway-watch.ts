/**
 * Ends this host's gateways when it is cut off: when it has heard neither the manager nor a peer for the agreed time
 * (`api/agent/gateway-term.ts`), for then another host may take them over. A host that has no peers at all goes on: nobody takes over.
 *
 * What was ended begins again only with the next slice, which says who translates by then; so the link is ended too, and the
 * manager sends one on the next. Silence is summed up from look to look: a clock that is set meanwhile neither shortens it nor adds to it.
 */
import { gatewayTerm } from '@kvasir/api/agent/gateway-term.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { LivenessDriver } from './drivers/liveness.ts';
import type { Log } from './log.ts';

export const gatewayLookMs = 1000;
/** An agent that starts serves what it was told last, and cannot know for how long its host has been cut off: it hears somebody soon, or ends. */
const graceMs = 5000;

export interface GatewayWatchSeams {
  readonly clock: Clock;
  /** Also for an agent that starts anew. */
  readonly endGateways: () => Promise<void>;
  readonly liveness: Pick<LivenessDriver, 'report'>;
  readonly manager: { readonly timesHeard: number; drop(reason: string): void };
  readonly log: Log;
}

export class GatewayWatch {
  readonly #seams: GatewayWatchSeams;
  #lookedMs: number;
  #silentMs = gatewayTerm.endAfterMs - graceMs;
  #timesHeard: number;
  #isEnded = false;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(seams: GatewayWatchSeams) {
    this.#seams = seams;
    this.#lookedMs = seams.clock.now();
    this.#timesHeard = seams.manager.timesHeard;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #schedule(): void {
    if (!this.#closed) this.#cancel = this.#seams.clock.after(gatewayLookMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, endGateways, manager, log } = this.#seams;
    const now = clock.now();
    const passedMs = Math.max(gatewayLookMs, now - this.#lookedMs);
    this.#lookedMs = now;
    this.#silentMs = this.#isHeard() ? 0 : this.#silentMs + passedMs;
    if (this.#silentMs < gatewayTerm.endAfterMs) this.#isEnded = false;
    else if (!this.#isEnded) {
      manager.drop('this host was cut off');
      try {
        await endGateways();
        this.#isEnded = true;
        log('cut off: gateways of routers are not served here any more');
      } catch (error) {
        log('cut off, but the gateways could not be ended; that is tried again', error);
      }
    }
    this.#schedule();
  }

  #isHeard(): boolean {
    const { liveness, manager } = this.#seams;
    const before = this.#timesHeard;
    this.#timesHeard = manager.timesHeard;
    const peers = liveness.report()?.peers;
    const isAlone = peers?.length === 0;
    const peerHeard = peers?.some(({ heardMsAgo }) => heardMsAgo !== null && heardMsAgo < gatewayTerm.heardWithinMs);
    return this.#timesHeard !== before || isAlone || peerHeard === true;
  }
}
