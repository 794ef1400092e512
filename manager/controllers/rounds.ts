/** Something that the leader does again and again; a round that fails is logged and comes again. */
import type { Clock } from '@kvasir/api/clock.ts';

export type Log = (message: string, details: Readonly<Record<string, unknown>>) => void;

export interface RoundsOptions {
  /** For the log: "upkeep". */
  readonly name: string;
  readonly clock: Clock;
  readonly everyMs: number;
  readonly log: Log;
  /** The signal is aborted when this manager no longer leads. */
  readonly round: (signal: AbortSignal) => Promise<unknown>;
}

export class Rounds {
  readonly #options: RoundsOptions;
  #stop: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  start(): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#loop = this.#loop.then(() => this.#run(stop.signal));
  }

  async stop(): Promise<void> {
    this.#stop?.abort(new Error('The manager no longer leads'));
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { name, clock, everyMs, log, round } = this.#options;
    while (!signal.aborted) {
      try {
        await round(signal);
      } catch (error) {
        if (!signal.aborted) log(`The ${name} failed; it comes again`, { error });
      }
      try {
        await clock.sleep(everyMs, signal);
      } catch {
        return;
      }
    }
  }
}
