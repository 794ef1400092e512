/**
 * What each host last said of leases, peers and uplinks. In memory only: after a restart of the manager there is nothing
 * here until the hosts speak, and an old report is told from a new one by its time on the manager's clock.
 */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';

export interface LivenessSeen {
  readonly report: Liveness;
  /** When it came, by the manager's clock. */
  readonly atMs: number;
}

export class LivenessBoard {
  readonly #seen = new Map<string, LivenessSeen>();
  readonly #listeners = new Set<(hostId: string, seen: LivenessSeen) => void>();

  take(hostId: string, report: Liveness, atMs: number): void {
    const seen = { report, atMs };
    this.#seen.set(hostId, seen);
    for (const listener of this.#listeners) listener(hostId, seen);
  }

  /** The newest report of a host, however old. */
  report(hostId: string): LivenessSeen | undefined {
    return this.#seen.get(hostId);
  }

  /** By host id. */
  all(): ReadonlyMap<string, LivenessSeen> {
    return this.#seen;
  }

  /** Called with each report. Answers how to stop. */
  listen(listener: (hostId: string, seen: LivenessSeen) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  forget(hostId: string): void {
    this.#seen.delete(hostId);
  }
}
