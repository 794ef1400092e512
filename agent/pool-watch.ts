/**
 * Reports the pools when one is lost, found again, or its free space moved by a hundredth. Looks every ten seconds. What is news
 * is news to the manager: once it was told in another way it may know something older than this watch has told, so the next look
 * is told whatever it sees.
 */
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { StorageDriver } from './drivers/storage.ts';

const lookEveryMs = 10_000;

export class PoolWatch {
  readonly #clock: Clock;
  readonly #storage: StorageDriver;
  readonly #changed: (pools: PoolReport[]) => void;
  /** As the manager was told; null: as somebody else told it. */
  #told: readonly PoolReport[] | null = null;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(clock: Clock, storage: StorageDriver, changed: (pools: PoolReport[]) => void) {
    this.#clock = clock;
    this.#storage = storage;
    this.#changed = changed;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  /** The manager was told of the pools, and not by this watch. */
  toldOtherwise(): void {
    this.#told = null;
  }

  #schedule(): void {
    if (!this.#closed) this.#cancel = this.#clock.after(lookEveryMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      const pools = await this.#storage.report();
      const told = this.#told;
      if (told?.length !== pools.length || pools.some((pool, index) => differs(pool, told[index]))) {
        this.#told = pools;
        this.#changed(pools);
      }
    } catch {
      // The driver reports what it can't reach; what it throws is gone by the next look or shows in the next call.
    }
    this.#schedule();
  }
}

function differs(pool: PoolReport, last: PoolReport | undefined): boolean {
  if (last === undefined || pool.poolId !== last.poolId) return true;
  if (pool.reachable !== last.reachable || pool.reason !== last.reason || pool.totalMib !== last.totalMib) return true;
  return Math.abs((pool.freeMib ?? 0) - (last.freeMib ?? 0)) * 100 > (pool.totalMib ?? 0);
}
