/** How hosts in memory live, and what the manager hears of it: heartbeats, leases and peers that see each other. */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { defaultLeases } from '../store/leases.ts';

export interface FakeHostLife {
  /** The manager hears it. */
  heard: boolean;
  /** It runs: it renews its lease and answers its peers. */
  alive: boolean;
  bootId: string;
  /** A shared pool in which it cannot renew its lease. */
  lostPool?: string;
}

/** By host id. */
export class HostLives extends Map<string, FakeHostLife> {
  readonly #clock: Clock;
  readonly #poolId: string;
  readonly #lastHeard = new Map<string, number>();
  readonly #lastAlive = new Map<string, number>();

  /** `poolId`: the shared pool of the leases. */
  constructor(clock: Clock, poolId: string) {
    super();
    this.#clock = clock;
    this.#poolId = poolId;
  }

  beat(): void {
    const now = this.#clock.now();
    for (const [id, { heard, alive }] of this) {
      if (heard) this.#lastHeard.set(id, now);
      if (alive) this.#lastAlive.set(id, now);
    }
  }

  /** The manager's clock was; the hosts measure by their own. */
  setClockBack(ms: number): void {
    for (const [id, aliveMs] of this.#lastAlive) this.#lastAlive.set(id, aliveMs - ms);
  }

  /** As the manager's side of the links tells it. */
  heardMs(id: string): number | undefined {
    const heardMs = this.#lastHeard.get(id);
    return heardMs !== undefined && heardMs > this.#clock.now() ? undefined : heardMs;
  }

  liveness(id: string): { report: Liveness; atMs: number } | undefined {
    const atMs = this.#lastHeard.get(id);
    if (atMs === undefined) return undefined;
    const age = (hostId: string): number => Math.max(0, atMs - (this.#lastAlive.get(hostId) ?? 0));
    const others = [...this].filter(([other]) => other !== id);
    const poolId = this.#poolId;
    const { bootId: ownBootId, lostPool } = this.get(id)!;
    const lost = lostPool === undefined ? [] : [{ poolId: lostPool, renewedMsAgo: null, error: 'EIO', lost: true }];
    const report: Liveness = {
      bootId: ownBootId,
      guard: 'watchdog',
      own: [{ poolId, renewedMsAgo: age(id), error: null, lost: false }, ...lost],
      seen: others.map(([hostId, { bootId }]) => ({
        poolId,
        hostId,
        counter: 1,
        bootId,
        guarded: true,
        leaseMs: defaultLeases.leaseMs,
        unchangedMs: age(hostId),
        readMsAgo: 0,
      })),
      peers: others.map(([hostId]) => ({ hostId, heardMsAgo: age(hostId) })),
      uplinks: [],
    };
    return { report, atMs };
  }
}
