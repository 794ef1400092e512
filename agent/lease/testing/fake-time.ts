/** A clock that stands still until it is moved, timer by timer, with everything that a timer set off come to rest in between. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '@kvasir/api/clock.ts';

interface Timer {
  readonly atMs: number;
  readonly work: () => void;
}

export class FakeTime implements Clock {
  #nowMs = 1_000_000;
  #timers: Timer[] = [];

  now(): number {
    return this.#nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, work: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, work };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      for (let turns = 0; turns < 4; turns += 1) await turn();
      const next = this.#timers.reduce<Timer | undefined>(
        (first, timer) => (timer.atMs <= endMs && (first === undefined || timer.atMs < first.atMs) ? timer : first),
        undefined,
      );
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.work();
    }
    this.#nowMs = endMs;
  }
}
