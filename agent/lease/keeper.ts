/**
 * Keeps the leases of one host: renews them in all shared pools, ends VMs of pools that it cannot renew, and pets the watchdog
 * that resets the host should this program stop. No I/O, clock or process of its own, so the simulation runs the same code.
 *
 * Why others may believe a record that says `guarded`: as long as the keeper runs it ends the VMs of a pool `killAfterMs`
 * after the last renewal. When it stops, the watchdog fires `timeoutMs` after it was last petted; and it is petted only while a reset
 * by then would still come before `leaseMs` are over, or once no VM of that pool is left. So VMs that cannot be ended get the
 * host reset in time, and a storage that is merely slow gets nobody reset.
 */
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import {
  type KeeperTime,
  notServed,
  type PoolIo,
  type PoolPlace,
  type Renewals,
  type VmEnder,
  type Watchdog,
} from './parts.ts';
import { PoolLease } from './pool-lease.ts';

export interface KeeperOptions {
  readonly hostId: string;
  readonly bootId: string;
  readonly time: KeeperTime;
  readonly openPool: (place: PoolPlace) => PoolIo;
  readonly ender: VmEnder;
  /** Null: this host has none. */
  readonly watchdog: Watchdog | null;
  readonly renewals: Renewals;
  readonly log: (message: string) => void;
  readonly onEvent: (event: KeeperEvent) => void;
}

export type KeeperEvent =
  | { readonly kind: 'storage-lost'; readonly poolId: string; readonly vmIds: readonly string[] }
  | { readonly kind: 'storage-back'; readonly poolId: string };

/** What the keeper itself knows of a host's liveness. */
export type KeeperReport = Pick<Liveness, 'bootId' | 'guard' | 'own' | 'seen'>;

/** Between the last moment of a reset and the end of the lease. */
export function marginOf(leaseMs: number): number {
  return Math.max(200, Math.round(leaseMs / 10));
}

/** The watchdog's longest timeout with which petting it is possible through all of normal life. */
export function longestTimeout({ leaseMs }: Pick<LivenessPlan, 'leaseMs'>): number {
  return Math.floor((leaseMs - marginOf(leaseMs)) / 2);
}

const armRetryMs = 10_000;

export class LeaseKeeper {
  readonly #options: KeeperOptions;
  readonly #pools = new Map<string, PoolLease>();
  #plan: LivenessPlan | null = null;
  #missing: { readonly poolId: string; readonly error: string }[] = [];
  #armed: { readonly timeoutMs: number } | null = null;
  #arming = false;
  /** The next keeper will know of which pools this one has promised anything. */
  #areKept = true;
  #nextArmMs = 0;
  #stopping: (() => void) | null = null;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  get plan(): LivenessPlan | null {
    return this.#plan;
  }
  get isGuarded(): boolean {
    return this.#armed !== null;
  }

  apply(plan: LivenessPlan, places: readonly PoolPlace[]): void {
    const first = this.#plan === null;
    this.#plan = plan;
    this.#missing = [];
    const renewals = this.#options.renewals.load();
    const wanted = new Set<string>();
    for (const { poolId, slot } of plan.pools) {
      const place = places.find((candidate) => candidate.poolId === poolId);
      if (place === undefined) {
        this.#missing.push({ poolId, error: notServed });
        continue;
      }
      wanted.add(poolId);
      const known = this.#pools.get(poolId);
      const lease = known?.path === place.path ? known : this.#open(place, slot, plan, renewals[poolId] ?? null);
      lease.configure(slot, plan, plan.peers);
      if (lease !== known) lease.start();
    }
    for (const lease of this.#pools.values()) if (!wanted.has(lease.poolId)) lease.leave();
    if (first) this.#check();
  }

  /** Takes back every promise, then stops the watchdog and itself. Takes as long as it has to. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stopping = resolve;
      if (this.#plan === null) this.#finish();
    });
  }

  /** Stops at once, as if killed: the watchdog runs on. */
  kill(): void {
    this.#closed = true;
    this.#cancel();
    for (const lease of this.#pools.values()) lease.close();
  }

  report(): KeeperReport {
    const now = this.#options.time.nowMs();
    const own = [...this.#pools.values()].map((lease) => ({
      poolId: lease.poolId,
      renewedMsAgo: lease.renewedMs === null ? null : Math.max(0, Math.round(now - lease.renewedMs)),
      error: lease.error,
      lost: lease.isLost,
    }));
    const seen = [...this.#pools.values()].flatMap((lease) =>
      lease.observations.all(now).map(({ hostId, record, unchangedMs, readMsAgo }) => {
        const { counter, bootId, guarded, leaseMs } = record;
        return { poolId: lease.poolId, hostId, counter, bootId, guarded, leaseMs, unchangedMs, readMsAgo };
      }),
    );
    return {
      bootId: this.#options.bootId,
      guard: this.#armed === null ? 'none' : 'watchdog',
      own: [...own, ...this.#missing.map((pool) => ({ ...pool, renewedMsAgo: null, lost: false }))],
      seen,
    };
  }

  #open(place: PoolPlace, slot: number, plan: LivenessPlan, renewedMs: number | null): PoolLease {
    const { hostId, bootId, ender, time, log, openPool, onEvent } = this.#options;
    this.#pools.get(place.poolId)?.close();
    const { poolId } = place;
    const lease = new PoolLease(
      {
        hostId,
        bootId,
        place,
        io: openPool(place),
        ender,
        time,
        renewedMs,
        log,
        onRenewed: () => this.#saveRenewals(),
        onLost: (vmIds) => onEvent({ kind: 'storage-lost', poolId, vmIds }),
        onBack: () => onEvent({ kind: 'storage-back', poolId }),
      },
      slot,
      plan,
    );
    this.#pools.set(poolId, lease);
    return lease;
  }

  #saveRenewals(): void {
    const entries = [...this.#pools.values()].flatMap(({ poolId, renewedMs }) =>
      renewedMs === null ? [] : [[poolId, renewedMs] as const],
    );
    this.#areKept = this.#options.renewals.save(Object.fromEntries(entries));
  }

  #check(): void {
    if (this.#closed) return;
    const plan = this.#plan!;
    const safeToArm = this.#areSafeFor(longestTimeout(plan), plan);
    this.#guard(plan, safeToArm);
    // Not armed (yet): as for the longest that it may become.
    const timeoutMs = this.#armed?.timeoutMs ?? longestTimeout(plan);
    for (const lease of this.#pools.values()) {
      void lease.check(!lease.isSafeFor(timeoutMs, marginOf(plan.leaseMs)));
      if (!lease.mayBeDropped) continue;
      lease.close();
      this.#pools.delete(lease.poolId);
      this.#saveRenewals();
    }
    // At the last moment: what was said meanwhile may have taken its time, as on a log whose disk hangs.
    if (this.#armed !== null && this.#areSafeFor(timeoutMs, plan)) this.#options.watchdog?.pet();
    this.#cancel = this.#options.time.after(Math.min(250, plan.renewEveryMs / 4), () => this.#check());
  }

  #areSafeFor(timeoutMs: number, { leaseMs }: LivenessPlan): boolean {
    return [...this.#pools.values()].every((lease) => lease.isSafeFor(timeoutMs, marginOf(leaseMs)));
  }

  /**
   * Arms the watchdog before any record says guarded, and stops it only after none says so any more. To arm it is to pet it:
   * where an earlier keeper made a promise that it could not keep any more, that one's last petting has to run out.
   */
  #guard(plan: LivenessPlan, safeToArm: boolean): void {
    const longestMs = longestTimeout(plan);
    const fits = this.#armed === null || this.#armed.timeoutMs <= longestMs;
    const wanted = this.#stopping === null && plan.pools.length > 0 && fits && this.#areKept;
    const nobodyRelies = [...this.#pools.values()].every((lease) => !lease.mayShowGuarded);
    if (wanted && safeToArm && this.#armed === null) this.#arm(longestMs);
    for (const lease of this.#pools.values()) lease.guard(wanted && this.#armed !== null);
    if (wanted || !nobodyRelies) return;
    if (this.#armed !== null) {
      this.#options.watchdog?.disarm();
      this.#armed = null;
      this.#options.log('the watchdog is stopped');
    }
    if (this.#stopping !== null && !this.#arming) this.#finish();
  }

  #arm(longestMs: number): void {
    const { watchdog, time, log } = this.#options;
    if (watchdog === null || this.#arming || time.nowMs() < this.#nextArmMs) return;
    this.#arming = true;
    this.#nextArmMs = time.nowMs() + armRetryMs;
    void watchdog
      .arm(longestMs)
      .then((armed) => {
        this.#armed = armed;
        if (armed !== null) log(`the watchdog is armed: it resets this host after ${armed.timeoutMs} ms`);
      })
      .catch((error: unknown) => log(`the watchdog cannot be armed: ${String(error)}`))
      .finally(() => (this.#arming = false));
  }

  #finish(): void {
    this.kill();
    this.#stopping?.();
  }
}
