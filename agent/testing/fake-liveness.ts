/** Leases that are lost when a test says so. */
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import type { LeasePlace, LivenessDriver, LivenessEvent } from '../drivers/liveness.ts';

export class FakeLiveness implements LivenessDriver {
  plan: LivenessPlan | null = null;
  places: readonly LeasePlace[] = [];
  current: Liveness | null = null;
  readonly lost = new Set<string>();
  readonly ended = new Set<string>();
  readonly starts = new Set<string>();
  readonly #listeners = new Set<(event: LivenessEvent) => void>();

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async end(): Promise<boolean> {
    return true;
  }

  /** The lease of a pool is lost, and back at once. */
  blink(poolId: string): void {
    for (const listener of this.#listeners) {
      listener({ kind: 'storage-lost', poolId, vmIds: [] });
      listener({ kind: 'storage-back', poolId });
    }
  }

  async apply(plan: LivenessPlan, places: readonly LeasePlace[]): Promise<void> {
    this.plan = plan;
    this.places = places;
  }

  async serve(places: readonly LeasePlace[]): Promise<void> {
    this.places = places;
  }

  report(): Liveness | null {
    return this.current;
  }

  leaseOf(poolId: string): 'held' | 'lost' | 'none' {
    return this.lost.has(poolId) ? 'lost' : 'none';
  }

  endedBecause(vmId: string): string | null {
    return this.ended.has(vmId) ? 'storage lost' : null;
  }

  forget(vmId: string): void {
    this.ended.delete(vmId);
  }

  async startPending(vmId: string): Promise<void> {
    this.starts.add(vmId);
  }

  async startSettled(vmId: string): Promise<void> {
    this.starts.delete(vmId);
  }

  async pendingStarts(): Promise<readonly string[]> {
    return [...this.starts];
  }

  watch(listener: (event: LivenessEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
