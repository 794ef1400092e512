/** Those who wait for a round of the keeper that began after they came. */
interface Waiter {
  readonly came: number;
  readonly done: (succeeded: boolean) => void;
}

export class Waiters {
  readonly #waiting = new Set<Waiter>();
  #arrivals = 0;

  /** true: a round succeeded; false: time is up, or the keeper ended. */
  wait(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiter.done(false), timeoutMs);
      this.#arrivals += 1;
      const waiter: Waiter = {
        came: this.#arrivals,
        done: (succeeded) => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          resolve(succeeded);
        },
      };
      this.#waiting.add(waiter);
    });
  }

  /** To be asked when a round begins. */
  mark(): number {
    return this.#arrivals;
  }

  /** The round that began at `mark` has ended. */
  finish(mark: number, succeeded: boolean): void {
    for (const waiter of [...this.#waiting]) if (waiter.came <= mark) waiter.done(succeeded);
  }
}
