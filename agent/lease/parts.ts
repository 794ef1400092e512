/** What a keeper works with, each part replaced in tests and in the simulation. */
import type { LeaseRecord, Slot } from './record.ts';

/** Time that only goes forward, also while the machine sleeps; the same for all processes of one boot. */
export interface KeeperTime {
  nowMs(): number;
  /** Calls `work` once after `ms`; the answer cancels it. */
  after(ms: number, work: () => void): () => void;
}

export const notServed = 'this host does not serve the pool';
const noDirectAccess = 'no direct access';

/** Whether this reason says that a lease is never to be had there: then nobody can rely on one, and none is asked for. */
export function isNeverKept(error: string | null): boolean {
  return error !== null && (error === notServed || error.includes(noDirectAccess));
}

/** An exchange failed before anything was written. */
export class NothingWrittenError extends Error {
  /** It can never be written there. */
  readonly isUnsupported: boolean;

  constructor(message: string, isUnsupported: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isUnsupported = isUnsupported;
  }
}

/** The storage of one pool. A call may take for ever; at most one is under way. */
export interface PoolIo {
  exchange(
    own: { readonly slot: number; readonly record: LeaseRecord } | null,
    read: readonly number[],
  ): Promise<readonly Slot[]>;
  close(): void;
}

export interface PoolPlace {
  readonly poolId: string;
  readonly path: string;
}

/** Ends VMs without asking anybody. */
export interface VmEnder {
  /** VMs that have a process now and a disk in the pool. */
  find(pool: PoolPlace): Promise<readonly string[]>;
  /** Kills them; answers whom, and how many processes are still there. */
  end(pool: PoolPlace): Promise<{ readonly vmIds: readonly string[]; readonly left: number }>;
}

export interface Watchdog {
  /** Starts it with the longest timeout that it can have up to `maxTimeoutMs`. Null: it cannot be had. */
  arm(maxTimeoutMs: number): Promise<{ readonly timeoutMs: number } | null>;
  pet(): void;
  /** Stops it for good. */
  disarm(): void;
}

/** Remembers over a restart of the keeper, within one boot, when each pool was last renewed. Never blocks. */
export interface Renewals {
  load(): Readonly<Record<string, number>>;
  /** Answers whether the next keeper will know all of these pools, be it as renewed earlier than they were. */
  save(renewals: Readonly<Record<string, number>>): boolean;
}
