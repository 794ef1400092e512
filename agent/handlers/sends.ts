/**
 * The migrations that this agent is sending away, those included that still wait for their VM's lock: a cancel has to reach
 * them all, or one would begin after it. What an agent that died had begun is the hypervisor's to know.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';

interface Sending {
  readonly cancel: AbortController;
  readonly ended: Promise<unknown>;
}

const endTimeoutMs = 60_000;

export class Sends {
  readonly #clock: Clock;
  readonly #sending = new Map<string, Set<Sending>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does `work` with a signal that fires with `signal`, and at an `end`. */
  async run<T>(vmId: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const cancel = new AbortController();
    const result = work(AbortSignal.any([signal, cancel.signal]));
    const sending = { cancel, ended: Promise.allSettled([result]) };
    const all = this.#sending.get(vmId) ?? new Set();
    this.#sending.set(vmId, all.add(sending));
    try {
      return await result;
    } finally {
      all.delete(sending);
      if (all.size === 0) this.#sending.delete(vmId);
    }
  }

  isSending(vmId: string): boolean {
    return this.#sending.has(vmId);
  }

  /** Cancels the VM's and waits until they ended, in whatever way. @throws KvasirError `timeout` */
  async end(vmId: string): Promise<void> {
    const all = [...(this.#sending.get(vmId) ?? [])];
    if (all.length === 0) return;
    for (const { cancel } of all) cancel.abort(new KvasirError('cancelled'));
    const patience = new AbortController();
    const late = this.#clock.sleep(endTimeoutMs, patience.signal).then(
      () => true,
      () => false,
    );
    const isLate = await Promise.race([late, Promise.all(all.map(({ ended }) => ended)).then(() => false)]);
    patience.abort();
    if (isLate) throw new KvasirError('timeout', { what: `The migration of VM ${vmId} away`, timeoutMs: endTimeoutMs });
  }
}
