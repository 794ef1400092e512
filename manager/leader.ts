/**
 * Holds the leader's lease while it can. Only the leader runs tasks and controllers; each acquisition gets a new epoch that all
 * its commands to agents carry. Who has not renewed in time stops by its own clock, before anybody else can have taken over.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from './store/database.ts';
import { acquireLeadership, releaseLeadership, renewLeadership } from './store/leader.ts';

export interface LeadershipSeams {
  readonly store: Store;
  readonly clock: Clock;
  /** Names this process among all managers; a new one at each start. */
  readonly holder: string;
  /** Default 10,000. */
  readonly leaseMs?: number;
  /** Proof that the holder of a lease is dead, so that its time need not be waited for; default: there is none. */
  readonly isDead?: (holder: string) => boolean;
  /** Starts what only a leader does. */
  readonly onLead: (epoch: number) => void;
  /** Stops it, at once. */
  readonly onLose: () => void;
  readonly log: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

export class Leadership {
  readonly #seams: LeadershipSeams;
  readonly #leaseMs: number;
  readonly #stopped = new AbortController();
  #epoch: number | undefined;
  #heldUntil = 0;
  #forget: () => void = () => {};
  #loop: Promise<void> | undefined;

  constructor(seams: LeadershipSeams) {
    this.#seams = seams;
    this.#leaseMs = seams.leaseMs ?? 10_000;
  }

  /** The epoch while this manager leads, else undefined. By the clock: a timer comes late in a process that was held up. */
  get epoch(): number | undefined {
    return this.#seams.clock.now() < this.#heldUntil ? this.#epoch : undefined;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Ends the leadership (others need not wait for the lease to run out); `onLose` has been called when it resolves. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('The manager stops'));
    await this.#loop;
    const epoch = this.#epoch;
    this.#lose('the manager stops');
    if (epoch !== undefined) await this.#seams.store.transaction((tx) => releaseLeadership(tx, epoch));
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#seams;
    while (!this.#stopped.signal.aborted) {
      try {
        await (this.#epoch === undefined ? this.#acquire() : this.#renew(this.#epoch));
      } catch (error) {
        log('The leader lease could not be reached', { error });
      }
      try {
        await clock.sleep(this.#leaseMs / 5, this.#stopped.signal);
      } catch {
        return;
      }
    }
  }

  async #acquire(): Promise<void> {
    const { store, clock, holder, isDead, onLead, log } = this.#seams;
    const asked = clock.now();
    const ask = { holder, leaseMs: this.#leaseMs, isDead };
    const epoch = await store.transaction((tx) => acquireLeadership(tx, { ...ask, now: clock.now() }));
    if (epoch === undefined || !this.#hold(asked)) return;
    this.#epoch = epoch;
    log('This manager leads', { epoch });
    onLead(epoch);
  }

  async #renew(epoch: number): Promise<void> {
    const { store, clock } = this.#seams;
    const asked = clock.now();
    const renewed = await store.transaction((tx) =>
      renewLeadership(tx, { epoch, now: clock.now(), leaseMs: this.#leaseMs }),
    );
    if (!renewed) this.#lose('the lease went to another manager');
    else if (this.#epoch === epoch && !this.#hold(asked)) this.#lose('the lease was not renewed in time');
  }

  /** Counts from before the question, so that this clock runs out before the row's time does. False: it already has. */
  #hold(asked: number): boolean {
    this.#forget();
    this.#heldUntil = asked + this.#leaseMs;
    const left = this.#heldUntil - this.#seams.clock.now();
    if (left <= 0) return false;
    this.#forget = this.#seams.clock.after(left, () => this.#lose('the lease was not renewed in time'));
    return true;
  }

  #lose(because: string): void {
    this.#forget();
    if (this.#epoch === undefined) return;
    this.#epoch = undefined;
    this.#seams.log('This manager no longer leads', { because });
    this.#seams.onLose();
  }
}
