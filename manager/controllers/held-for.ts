/**
 * For how long things have been so, as far as a round of a controller saw them: kept by key, begun anew when they were otherwise.
 *
 * Invariant: only time counts in which this manager looked: everything is forgotten when it could not look for a while, or when
 * the clock was set back.
 */
export class HeldFor {
  readonly #since = new Map<string, number>();
  readonly #longestGapMs: number;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(longestGapMs: number) {
    this.#longestGapMs = longestGapMs;
  }

  /** Begins a round. */
  look(now: number): void {
    if (now - this.#lookedMs > this.#longestGapMs || now < this.#lookedMs) this.#since.clear();
    this.#lookedMs = now;
  }

  /** Milliseconds since this round or an earlier one first saw it hold. */
  holds(key: string): number {
    const since = this.#since.get(key) ?? this.#lookedMs;
    this.#since.set(key, since);
    return this.#lookedMs - since;
  }

  /** It does not hold. */
  ends(key: string): void {
    this.#since.delete(key);
  }
}
