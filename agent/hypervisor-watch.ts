/**
 * Whether the hypervisor answers. It may hang for as long as a storage does, and a call that hangs in it may come through long
 * afterwards, so nothing here takes an unanswered call for one that failed.
 *
 * Asked every few seconds, one question at a time. Once it has been silent for a while the manager is told, calls that need it are
 * refused, and those under way are no longer waited for: they go on, and their keys find them again. When it answers again,
 * everything is reported anew, and starts that it left unanswered are known to be over: it answers for all domains at once, so none of
 * them is held up.
 */
import type { Inventory } from '@kvasir/api/agent/host.ts';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { HostDrivers } from './drivers/drivers.ts';
import type { Log } from './log.ts';
import type { StartNotes } from './start-notes.ts';

const askEveryMs = 3000;
/** The manager has the same figure in its documentation. */
export const silentAfterMs = 15_000;
/** A host that introduces itself does not wait for longer. */
const describeWithinMs = 5000;

export interface HostDescription {
  readonly inventory: Inventory;
  readonly domains: readonly DomainReport[];
}

export interface HypervisorWatchOptions {
  readonly clock: Clock;
  readonly drivers: HostDrivers;
  readonly starts: StartNotes;
  readonly log: Log;
  /** Asks the hypervisor. */
  readonly inventory: () => Promise<Inventory>;
  /** What was last seen of its domains. */
  readonly lastSeen: () => readonly DomainReport[];
  /** It answers again: tells anew of all its domains. */
  readonly onBack: () => Promise<void>;
}

export class HypervisorWatch {
  readonly #options: HypervisorWatchOptions;
  #inventory: Inventory | null = null;
  /** Of the first question without an answer. */
  #askedMs: number | null = null;
  /** Called when it falls silent. */
  readonly #waiting = new Set<() => void>();
  #isSilent = false;
  #closed = false;
  #fails = false;
  #cancelSilence: () => void = () => {};
  readonly #cancels = new Set<() => void>();

  constructor(options: HypervisorWatchOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#ask();
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
  }

  /** For how long it has not answered; null: it does, as far as anybody knows. */
  get silentMs(): number | null {
    if (!this.#isSilent || this.#askedMs === null) return null;
    return Math.max(0, Math.round(this.#options.clock.now() - this.#askedMs));
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** @throws KvasirError hypervisor-silent */
  requireAnswers(): void {
    if (this.#isSilent) throw this.#error();
  }

  /** What the call comes to. Rejects as soon as the hypervisor is silent; the call itself goes on. @throws KvasirError hypervisor-silent */
  async unlessSilent<T>(call: Promise<T>): Promise<T> {
    const silent = Promise.withResolvers<never>();
    const giveUp = (): void => silent.reject(this.#error());
    if (this.#isSilent) giveUp();
    else this.#waiting.add(giveUp);
    try {
      return await Promise.race([call, silent.promise]);
    } finally {
      this.#waiting.delete(giveUp);
    }
  }

  /** The host as it is, or while the hypervisor does not answer, as it last was. @throws KvasirError hypervisor-silent when nothing was seen yet */
  async describe(): Promise<HostDescription> {
    const { drivers, clock } = this.#options;
    const now = async (): Promise<HostDescription> => {
      const inventory = await this.#options.inventory();
      this.#inventory = inventory;
      return { inventory, domains: await drivers.hypervisor.list() };
    };
    const before = (): HostDescription => {
      if (this.#inventory === null) throw this.#error();
      return { inventory: this.#inventory, domains: this.#options.lastSeen() };
    };
    const late = this.#isSilent ? Promise.resolve() : clock.sleep(describeWithinMs);
    return await Promise.race([now().catch(before), late.then(before)]);
  }

  async #ask(): Promise<void> {
    const { clock, drivers, starts, log } = this.#options;
    if (this.#askedMs === null) {
      this.#askedMs = clock.now();
      this.#cancelSilence = this.#after(silentAfterMs, () => this.#fellSilent());
    }
    try {
      const over = await starts.unanswered();
      await drivers.hypervisor.answers();
      this.#cancelSilence();
      this.#askedMs = null;
      await starts.settled(over);
      if (this.#isSilent) await this.#back();
      this.#fails = false;
    } catch (error) {
      // No connection is as good as no answer.
      if (!this.#fails) log('the hypervisor does not answer', error);
      this.#fails = true;
    } finally {
      this.#after(askEveryMs, () => void this.#ask());
    }
  }

  #fellSilent(): void {
    this.#isSilent = true;
    this.#options.log('the hypervisor has not answered for a while: what needs it is refused until it does');
    for (const giveUp of this.#waiting) giveUp();
  }

  async #back(): Promise<void> {
    await this.#options.onBack();
    this.#isSilent = false;
    this.#options.log('the hypervisor answers again');
  }

  #error(): KvasirError {
    return new KvasirError('hypervisor-silent', { seconds: Math.round((this.silentMs ?? describeWithinMs) / 1000) });
  }

  #after(ms: number, work: () => void): () => void {
    const stop = this.#options.clock.after(ms, () => {
      this.#cancels.delete(stop);
      if (!this.#closed) work();
    });
    this.#cancels.add(stop);
    return () => {
      this.#cancels.delete(stop);
      stop();
    };
  }
}
