/**
 * What a simulated host does besides the right thing: latency, and faults that a test plans. A fault is used up by the
 * calls that it hits, in the order in which the faults were planned.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { GuestDriver } from '../guest.ts';
import type { HypervisorDriver } from '../hypervisor.ts';
import type { NetworkDriver } from '../network.ts';
import type { StorageDriver } from '../storage.ts';

export type SimOperation =
  | `hypervisor.${keyof HypervisorDriver}`
  | `storage.${keyof StorageDriver}`
  | `network.${keyof NetworkDriver}`
  | `guest.${keyof GuestDriver}`;

/**
 * - `fail`: an error, nothing happens
 * - `lose-reply`: it happens, then the connection to the hypervisor breaks: an error
 * - `hang`: no answer and nothing happens, until `release` (then `host-failed`), the caller's signal or a power failure
 * - `source-dies`, `destination-dies`: a power failure in the middle of a migration
 */
export type Fault = {
  readonly operation: SimOperation;
  /** How many calls it hits; default 1. */
  readonly times?: number;
  /** How many calls it lets pass first; default 0. */
  readonly after?: number;
} & (
  | { readonly kind: 'fail'; readonly error?: KvasirError }
  | { readonly kind: 'lose-reply' | 'hang' }
  | { readonly kind: 'source-dies' | 'destination-dies'; readonly atPercent: number }
);

/** Milliseconds that an operation takes; drawn anew for each call between the two bounds. */
export type Latency = Partial<Record<SimOperation | 'default', readonly [fromMs: number, toMs: number]>>;

interface Planned {
  readonly fault: Fault;
  after: number;
  times: number;
}

export class SimFaults {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #planned: Planned[] = [];
  readonly #hanging = new Set<(error: KvasirError) => void>();
  latency: Latency = {};

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  plan(fault: Fault): void {
    this.#planned.push({ fault, after: fault.after ?? 0, times: fault.times ?? 1 });
  }

  /** Forgets what is planned; what hangs keeps hanging until `release`. */
  clear(): void {
    this.#planned.length = 0;
  }

  /** Ends everything that hangs with an error. */
  release(error = new KvasirError('host-failed', { reason: 'the connection broke' })): void {
    for (const end of this.#hanging) end(error);
  }

  /** Runs an operation with its latency and the next fault that is planned for it. */
  async perform<T>(
    operation: SimOperation,
    effect: (fault: Fault | null) => T | Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const fault = this.#take(operation);
    await this.#wait(operation);
    switch (fault?.kind) {
      case 'fail':
        throw fault.error ?? new KvasirError('host-failed', { reason: `simulated failure of ${operation}` });
      case 'hang':
        return this.#hang(signal);
      case 'lose-reply':
        await effect(fault);
        throw new KvasirError('host-failed', { reason: `simulated loss of the answer to ${operation}` });
      case 'source-dies':
      case 'destination-dies':
      case undefined:
        return effect(fault);
    }
  }

  /** A number between the bounds, by the host's own randomness. */
  between(from: number, to: number): number {
    return from + this.#random() * (to - from);
  }

  #take(operation: SimOperation): Fault | null {
    for (const [index, planned] of this.#planned.entries()) {
      if (planned.fault.operation !== operation) continue;
      if (planned.after > 0) {
        planned.after--;
        continue;
      }
      if (--planned.times <= 0) this.#planned.splice(index, 1);
      return planned.fault;
    }
    return null;
  }

  async #wait(operation: SimOperation): Promise<void> {
    const [from, to] = this.latency[operation] ?? this.latency.default ?? [0, 0];
    if (to > 0) await this.#clock.sleep(this.between(from, to));
  }

  #hang(signal: AbortSignal | undefined): Promise<never> {
    return new Promise((_resolve, reject) => {
      const end = (error: KvasirError) => {
        this.#hanging.delete(end);
        signal?.removeEventListener('abort', cancel);
        reject(error);
      };
      const cancel = () => end(new KvasirError('cancelled'));
      this.#hanging.add(end);
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted === true) cancel();
    });
  }
}
