/**
 * Signs of life as the agent sees them: leases on shared storage, peers, uplinks. Implementations: `keeper/` (the keeper, a
 * process of its own that goes on without the agent), `sim/`; one contract suite runs on both.
 *
 * Whatever renews the leases also ends the VMs of a pool whose lease it could not renew, by itself: no method here has to be
 * called for it. The agent only passes on the plan, tells what is seen, and starts no VM where the lease is lost.
 */
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';

/** Where this host finds a pool of the plan. */
export interface LeasePlace {
  readonly poolId: string;
  readonly path: string;
}

export type LivenessEvent =
  /** The lease of a pool could not be renewed in time: these VMs were ended by force. */
  | { readonly kind: 'storage-lost'; readonly poolId: string; readonly vmIds: readonly string[] }
  /** It is renewed again, and VMs may be started there again. */
  | { readonly kind: 'storage-back'; readonly poolId: string };

export interface LivenessDriver {
  /** Starts what keeps the leases unless it runs, and goes on with the plan that it has. Never fails: it keeps trying. */
  open(): Promise<void>;
  /** Lets go of it; leases are renewed on. */
  close(): Promise<void>;
  /**
   * The host goes down on purpose: every promise is taken back and the watchdog stopped, so that the end of what keeps the leases
   * resets nothing. Answers whether that was done in time; on a storage that hangs it cannot be. Also after `close`.
   */
  end(withinMs: number): Promise<boolean>;
  /**
   * Keeps these leases from now on, also over restarts of agent and host. Resolves when the plan is kept on disk. A pool
   * without a place is reported with an error and not renewed. Errors: `host-failed`.
   */
  apply(plan: LivenessPlan, places: readonly LeasePlace[]): Promise<void>;
  /** The pools that this host serves from now on: the plan that it has holds for these. Errors: `host-failed`. */
  serve(places: readonly LeasePlace[]): Promise<void>;
  /** The newest that is known, at once: nothing here waits for a storage. Null while no plan is known or the keeper does not answer. */
  report(): Liveness | null;
  /** `lost`: not held now (also: not yet, after a boot), so no VM with a disk there may be started; `none`: not in the plan, or never to be had. */
  leaseOf(poolId: string): 'held' | 'lost' | 'none';
  /** Why a VM that is off was ended: `storage lost` for those that the keeper ended and that have not been started since. */
  endedBecause(vmId: string): string | null;
  /** The VM is started anew (or gone for good): its end is history. */
  forget(vmId: string): void;
  /**
   * The hypervisor is about to be asked to start this VM, and may hang over it: until `startSettled`, whatever ends the VMs of these pools
   * sees to it that it does not start any more either. Kept over restarts of the agent when it resolves.
   */
  startPending(vmId: string, poolIds: readonly string[]): Promise<void>;
  /** It has started, or is known never to. */
  startSettled(vmId: string): Promise<void>;
  pendingStarts(): Promise<readonly string[]>;
  watch(listener: (event: LivenessEvent) => void): () => void;
}
