/**
 * One pool's lease: renewing it, and ending the pool's VMs when that was not possible for too long. What counts is when the
 * last successful write *began*: others cannot have seen it before.
 *
 * The lease is lost once `killAfterMs` have passed since then. From that moment on every VM of the pool that appears is
 * ended, and goes on being ended for a while after the storage is back: a start that hung in it may come through only now.
 */
import type { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { Observations } from './observation.ts';
import { type KeeperTime, NothingWrittenError, type PoolIo, type PoolPlace, type VmEnder } from './parts.ts';
import type { LeaseRecord, Slot } from './record.ts';

export interface LeaseTerms {
  readonly renewEveryMs: number;
  readonly killAfterMs: number;
  readonly leaseMs: number;
}

export interface PoolLeaseOptions {
  readonly hostId: string;
  readonly bootId: string;
  readonly place: PoolPlace;
  readonly io: PoolIo;
  readonly ender: VmEnder;
  readonly time: KeeperTime;
  /** Start of the last renewal by an earlier keeper of this boot. */
  readonly renewedMs: number | null;
  readonly log: (message: string) => void;
  readonly onRenewed: () => void;
  readonly onLost: (vmIds: readonly string[]) => void;
  readonly onBack: () => void;
}

export class PoolLease {
  readonly observations = new Observations();
  readonly #options: PoolLeaseOptions;
  #slot: number;
  #peers: LivenessPlan['peers'] = [];
  #terms: LeaseTerms;
  /** Others may still see a record with these; the stricter of both holds. */
  #shownTerms: LeaseTerms | null = null;
  #counter: number | null = null;
  #renewedMs: number | null;
  #error: string | null = null;
  #busy = false;
  #closed = false;
  #cancel: () => void = () => {};
  #wantsGuarded = false;
  /** Others may see a record that says guarded. After a restart one has to assume so. */
  #mayShowGuarded: boolean;
  /** Start of the first write that said so; what counts while no write is known to have succeeded. */
  #promisedMs: number | null = null;
  #written: { readonly guarded: boolean; readonly terms: LeaseTerms } | null = null;
  readonly #killed = new Set<string>();
  #lost = false;
  #backSinceMs: number | null = null;
  #ending = false;
  #empty = false;
  #leaving = false;

  constructor(options: PoolLeaseOptions, slot: number, terms: LeaseTerms) {
    this.#options = options;
    this.#slot = slot;
    this.#terms = terms;
    this.#renewedMs = options.renewedMs;
    this.#mayShowGuarded = options.renewedMs !== null;
  }

  get poolId(): string {
    return this.#options.place.poolId;
  }
  get path(): string {
    return this.#options.place.path;
  }
  get renewedMs(): number | null {
    return this.#renewedMs;
  }
  get error(): string | null {
    return this.#error;
  }
  /** The VMs of this pool were ended, and none may start there yet. */
  get isLost(): boolean {
    return this.#lost;
  }
  get mayShowGuarded(): boolean {
    return this.#mayShowGuarded;
  }
  /** It is not in the plan any more, and others know that they cannot rely on it. */
  get mayBeDropped(): boolean {
    return this.#leaving && !this.#mayShowGuarded;
  }

  start(): void {
    this.#renew();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#options.io.close();
  }

  configure(slot: number, terms: LeaseTerms, peers: LivenessPlan['peers']): void {
    this.#leaving = false;
    this.#slot = slot;
    this.#terms = terms;
    this.#peers = peers;
    this.observations.keepOnly(new Set(peers.map((peer) => peer.hostId)));
  }

  /** Takes back the promise; see `mayBeDropped`. */
  leave(): void {
    this.#leaving = true;
  }

  /** What the records say from the next one on. */
  guard(guarded: boolean): void {
    this.#wantsGuarded = guarded;
  }

  /** Whether a reset after `timeoutMs` would come before others take the VMs over, or there is nothing to take over. */
  isSafeFor(timeoutMs: number, marginMs: number): boolean {
    const sinceMs = this.#renewedMs ?? this.#promisedMs;
    if (!this.#mayShowGuarded || sinceMs === null || this.#empty) return true;
    return this.#options.time.nowMs() + timeoutMs <= sinceMs + this.#strictest('leaseMs') - marginMs;
  }

  /** Called several times a second. `isTight`: the watchdog is not petted because of this pool. */
  async check(isTight: boolean): Promise<void> {
    const { time } = this.#options;
    const renewedMs = this.#renewedMs ?? this.#promisedMs;
    const sinceMs = renewedMs === null ? 0 : time.nowMs() - renewedMs;
    if (!this.#lost && sinceMs >= this.#strictest('killAfterMs')) this.#lose(sinceMs);
    if (!this.#lost) {
      if (isTight) await this.#look();
      else this.#empty = false;
      return;
    }
    await this.#end();
    this.#comeBack(sinceMs);
  }

  #lose(sinceMs: number): void {
    this.#lost = true;
    this.#empty = false;
    this.#options.log(
      `storage lost: pool ${this.poolId} not renewed for ${Math.round(sinceMs)} ms (${this.#error ?? 'it does not answer'}); ending its VMs`,
    );
    this.#options.onLost([]);
  }

  #comeBack(sinceMs: number): void {
    if (sinceMs >= this.#strictest('killAfterMs')) {
      this.#backSinceMs = null;
      return;
    }
    this.#backSinceMs ??= this.#options.time.nowMs();
    // Starts that hung in the storage come through now, and are ended as long as this takes.
    const settleMs = this.#terms.killAfterMs / 2;
    if (this.#options.time.nowMs() - this.#backSinceMs < settleMs || !this.#empty) return;
    this.#lost = false;
    this.#backSinceMs = null;
    this.#options.log(`storage back: the lease of pool ${this.poolId} is renewed again`);
    this.#options.onBack();
  }

  async #look(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    try {
      this.#empty = (await this.#options.ender.find(this.#options.place)).length === 0;
    } catch (error) {
      this.#options.log(`cannot tell which VMs use pool ${this.poolId}: ${words(error)}`);
      this.#empty = false;
    } finally {
      this.#ending = false;
    }
  }

  async #end(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    try {
      const { vmIds, left } = await this.#options.ender.end(this.#options.place);
      this.#empty = left === 0;
      for (const vmId of vmIds) this.#killed.add(vmId);
      // Told only when no process is left: what is told may be believed.
      if (left > 0 || this.#killed.size === 0) return;
      const ended = [...this.#killed];
      this.#killed.clear();
      this.#options.log(`ended VMs of pool ${this.poolId}: ${ended.join(', ')}`);
      this.#options.onLost(ended);
    } catch (error) {
      this.#options.log(`cannot end the VMs of pool ${this.poolId}: ${words(error)}`);
      this.#empty = false;
    } finally {
      this.#ending = false;
    }
  }

  #strictest(term: 'killAfterMs' | 'leaseMs'): number {
    return Math.min(this.#terms[term], this.#shownTerms?.[term] ?? Number.POSITIVE_INFINITY);
  }

  #renew(): void {
    if (this.#closed || this.#busy) return;
    const { time } = this.#options;
    const startedMs = time.nowMs();
    this.#busy = true;
    void this.#exchange(startedMs)
      .then(
        () => this.#succeeded(startedMs),
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#busy = false;
        if (this.#closed) return;
        const dueMs = startedMs + this.#terms.renewEveryMs;
        this.#cancel = time.after(Math.max(1, dueMs - time.nowMs()), () => this.#renew());
      });
  }

  async #exchange(startedMs: number): Promise<void> {
    const { io, hostId, bootId, time } = this.#options;
    const slot = this.#slot;
    if (this.#counter === null) {
      // Counters go on where the last keeper stopped: an old record must never look like a new one.
      const [last] = await io.exchange(null, [slot]);
      this.#counter = last?.kind === 'record' && last.record.hostId === hostId ? last.record.counter : 0;
    }
    this.#counter += 1;
    const guarded = this.#wantsGuarded && !this.#leaving;
    const terms = this.#terms;
    const record: LeaseRecord = { hostId, counter: this.#counter, bootId, guarded, leaseMs: terms.leaseMs };
    const before = [this.#mayShowGuarded, this.#promisedMs, this.#shownTerms] as const;
    this.#mayShowGuarded ||= guarded;
    if (guarded) this.#promisedMs ??= startedMs;
    this.#shownTerms = stricter(this.#shownTerms, terms);
    const peers = this.#peers;
    let slots: readonly Slot[];
    try {
      slots = await io.exchange({ slot, record }, [slot, ...peers.map((peer) => peer.slot)]);
    } catch (error) {
      if (error instanceof NothingWrittenError) [this.#mayShowGuarded, this.#promisedMs, this.#shownTerms] = before;
      throw error;
    }
    const endedMs = time.nowMs();
    const [mine, ...others] = slots;
    for (const [index, peer] of peers.entries()) {
      const other = others[index];
      if (other !== undefined) this.observations.take(peer.hostId, other, startedMs, endedMs);
    }
    if (mine?.kind !== 'record' || mine.record.hostId !== hostId || mine.record.counter !== record.counter) {
      throw new Error(`slot ${slot} holds something else than what was written: does another host use it?`);
    }
    this.#written = { guarded, terms };
  }

  #succeeded(startedMs: number): void {
    const { guarded, terms } = this.#written!;
    this.#renewedMs = startedMs;
    this.#shownTerms = terms;
    if (!guarded) this.#mayShowGuarded = false;
    if (this.#error !== null) this.#options.log(`pool ${this.poolId}: the lease is renewed`);
    this.#error = null;
    this.#options.onRenewed();
  }

  #failed(error: unknown): void {
    const reason = words(error);
    if (reason !== this.#error) this.#options.log(`pool ${this.poolId}: the lease could not be renewed: ${reason}`);
    this.#error = reason;
  }
}

function stricter(a: LeaseTerms | null, b: LeaseTerms): LeaseTerms {
  if (a === null) return b;
  const [killAfterMs, leaseMs] = [Math.min(a.killAfterMs, b.killAfterMs), Math.min(a.leaseMs, b.leaseMs)];
  return { renewEveryMs: b.renewEveryMs, killAfterMs, leaseMs };
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
