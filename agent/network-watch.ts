/**
 * Reports NICs, uplinks and the tunnel's address when one of them changes. Looks every two seconds; the look after an introduction,
 * which carries all of it, too, is told whatever it sees.
 */
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { NetworkDriver } from './drivers/network.ts';

const lookEveryMs = 2000;

export class NetworkWatch {
  readonly #clock: Clock;
  readonly #network: NetworkDriver;
  readonly #changed: (report: NetworkChanged) => void;
  /** As the manager was told; null: as an introduction told it. */
  #told: string | null = null;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(clock: Clock, network: NetworkDriver, changed: (report: NetworkChanged) => void) {
    this.#clock = clock;
    this.#network = network;
    this.#changed = changed;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  /** The manager is told by an introduction. */
  toldOtherwise(): void {
    this.#told = null;
  }

  #schedule(): void {
    if (!this.#closed) this.#cancel = this.#clock.after(lookEveryMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      const report = await this.#network.report();
      const text = JSON.stringify(report);
      if (text !== this.#told) {
        this.#told = text;
        this.#changed(report);
      }
    } catch {
      // A switch that is away for a moment is no news.
    }
    this.#schedule();
  }
}
