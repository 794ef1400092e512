/** A clock that stands still until the test moves it. */
import type { Clock } from '@kvasir/api/clock.ts';

interface Waiting {
  at: number;
  readonly work: () => void;
}

export class ManualClock implements Clock {
  #now = 1_000_000;
  readonly #waiting = new Set<Waiting>();

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const cancel = this.after(ms, resolve);
    const abort = () => {
      cancel();
      reject(signal!.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    await promise;
    signal?.removeEventListener('abort', abort);
  }

  after(ms: number, work: () => void): () => void {
    const waiting = { at: this.#now + ms, work };
    this.#waiting.add(waiting);
    return () => void this.#waiting.delete(waiting);
  }

  /** Moves on, and calls what was waiting for that, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#waiting].filter((waiting) => waiting.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#waiting.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.work();
    }
    this.#now = until;
  }

  /** Time passes without anything being called, as while the process is held up; it is called, late, at the next `advance`. */
  stall(ms: number): void {
    this.#now += ms;
  }

  /** Somebody sets it back: what waits goes by a clock that nobody sets. */
  setBack(ms: number): void {
    this.#now -= ms;
    for (const waiting of this.#waiting) waiting.at -= ms;
  }
}
