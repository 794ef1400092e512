/**
 * Wakes those who wait for events: after a commit of this process, and each second for those of another manager. It carries
 * no events; each waiter reads the table from where it is, so nothing is lost or doubled by a wake-up too many or too few.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { lastEventSeq } from '../store/events.ts';

const pollMs = 1000;
const coalesceMs = 20;

export class EventFeed {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #seen = -1;
  #planned = false;
  #closed = false;
  #cancelPoll: () => void = () => {};

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unsubscribe = store.onCommit(() => this.#plan());
    this.#poll();
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#cancelPoll();
    this.#wake();
  }

  /** Resolves when there may be an event after `seq`, after `timeoutMs`, or when the signal aborts or the feed closes. */
  async wait(seq: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted || this.#seen > seq) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(timeoutMs, resolve);
    const aborted = (): void => resolve();
    signal.addEventListener('abort', aborted, { once: true });
    this.#waiting.add(resolve);
    // A commit may have come between the waiter's last look and now.
    this.#plan();
    await promise;
    this.#waiting.delete(resolve);
    signal.removeEventListener('abort', aborted);
    cancel();
  }

  get closed(): boolean {
    return this.#closed;
  }

  #plan(): void {
    if (this.#planned || this.#closed || this.#waiting.size === 0) return;
    this.#planned = true;
    this.#clock.after(coalesceMs, () => {
      this.#planned = false;
      void this.#check();
    });
  }

  #poll(): void {
    if (this.#closed) return;
    this.#cancelPoll = this.#clock.after(pollMs, () => {
      void this.#check().finally(() => this.#poll());
    });
  }

  async #check(): Promise<void> {
    if (this.#closed || this.#waiting.size === 0) return;
    try {
      const last = await lastEventSeq(this.#store.db);
      if (last === this.#seen) return;
      this.#seen = last;
      this.#wake();
    } catch {
      // The database is away for the moment; the next poll looks again.
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
