/**
 * Time of a simulated world. It stands still while anything still works at the present moment, and then jumps to the next
 * moment at which something was to happen; so an hour passes as fast as its events can be worked off.
 *
 * Invariant: with the same events in the same order the same things happen. Nothing in the world may wait for a real timer, a
 * socket or a thread, but for what `outside` was told of.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { runImmediates, turnOfTheLoop } from './immediates.ts';
import { TimerHeap } from './timer-heap.ts';

/** More turns in a row than any work takes: it hands over to itself for ever. */
const mostTurns = 100_000;

export class VirtualClock implements Clock {
  readonly #timers = new TimerHeap();
  #nowMs: number;
  #outside = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, work: () => void): () => void {
    // Whole milliseconds, as timers of the runtime have them.
    return this.#timers.add(this.#nowMs + Math.max(0, Math.trunc(ms)), work);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepBy((work) => this.after(ms, work), signal);
  }

  /** Lets `ms` pass, with everything that happens meanwhile; `between` is called whenever the world has become quiet. */
  async pass(ms: number, between: () => void | Promise<void> = () => {}): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.settle();
    await between();
    for (let next = this.#timers.take(endMs); next !== undefined; next = this.#timers.take(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.work();
      await this.settle();
      await between();
    }
    this.#nowMs = endMs;
  }

  /** Time stands still until this is over: work that leaves the process's one thread. */
  outside<T>(work: Promise<T>): Promise<T> {
    this.#outside += 1;
    return work.finally(() => {
      this.#outside -= 1;
    });
  }

  /** Until nothing works any more at the present moment. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < mostTurns; turn++) {
      await turnOfTheLoop();
      if (!runImmediates() && this.#outside === 0) return;
    }
    throw new Error('The world does not come to rest');
  }
}

/** `Clock.sleep` from `Clock.after`. */
export async function sleepBy(after: (work: () => void) => () => void, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cancel = after(resolve);
  const abort = (): void => {
    cancel();
    reject(signal!.reason as Error);
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
