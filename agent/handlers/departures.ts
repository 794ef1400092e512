/**
 * When domains left this host by a migration, for as long as this process knows. Counted by timers, for the host's clock may be set, and
 * an age that is too great would make a proof of death about a domain that came there later; timers are late, but never early.
 */
import type { Clock } from '@kvasir/api/clock.ts';

const tickMs = 250;
/** Nobody asks for so long. */
const forgottenAfterMs = 3_600_000;

export class Departures {
  readonly #clock: Clock;
  readonly #known = new Map<string, { awayMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It is not here any more, or has not been for longer. */
  note(vmId: string): void {
    if (this.#known.has(vmId)) return;
    const departure = { awayMs: 0 };
    this.#known.set(vmId, departure);
    const count = (): void => {
      this.#clock.after(tickMs, () => {
        if (this.#known.get(vmId) !== departure) return;
        departure.awayMs += tickMs;
        if (departure.awayMs >= forgottenAfterMs) this.forget(vmId);
        else count();
      });
    };
    count();
  }

  /** At least. */
  awayMs(vmId: string): number {
    return this.#known.get(vmId)?.awayMs ?? 0;
  }

  /** It is over, or the domain comes back. */
  forget(vmId: string): void {
    this.#known.delete(vmId);
  }
}
