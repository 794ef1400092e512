/**
 * Does a round of work soon after somebody said that something changed.
 *
 * Invariants: one round at a time; a round begins after every nudge, so it sees what the nudge was about; nudges of the same turn,
 * and those during a round, are one round. One that fails is told and ends nothing: the next nudge brings the next round.
 */
export class NudgedRounds {
  readonly #round: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | null = null;
  #again = false;

  constructor(round: () => Promise<void>, failed: (error: unknown) => void) {
    this.#round = round;
    this.#failed = failed;
  }

  /** Cheap to call often. */
  nudge(): void {
    this.#again = true;
    this.#running ??= this.#run();
  }

  /** Waits until the last nudge is worked off. */
  async settle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Nudges of the same turn become one.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#again) {
      this.#again = false;
      try {
        await this.#round();
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#running = null;
  }
}
