/**
 * Sends every host the whole list of its cluster's pools: when it connects, and when the list changed.
 *
 * Invariants: a list goes to a host again only when it differs from what the host took last on this link. A shared pool's
 * marker is made by one host, before the others are asked, and never again once any host has reached the pool.
 */
import { poolApply } from '@kvasir/api/agent/host.ts';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { poolHosts, pools } from '../store/pools.ts';
import type { HostCalls } from './calls.ts';
import type { HostLink } from './host-link.ts';
import type { Inventory } from './inventory.ts';
import type { LinkHub } from './link-hub.ts';
import { NudgedRounds } from './nudged-rounds.ts';

export interface PoolPushesOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly hub: LinkHub;
  readonly calls: HostCalls;
  readonly inventory: Inventory;
  readonly log: (message: string, error?: unknown) => void;
}

interface Taken {
  pools?: string;
}

type PoolList = ParamsOf<typeof poolApply>['pools'];

const atOnce = 32;
const retryMs = 30_000;

export class PoolPushes {
  readonly #options: PoolPushesOptions;
  readonly #taken = new WeakMap<HostLink, Taken>();
  readonly #rounds: NudgedRounds;

  constructor(options: PoolPushesOptions) {
    this.#options = options;
    this.#rounds = new NudgedRounds(
      () => this.#pushAll(),
      (error) => options.log('pools could not be sent to the hosts', error),
    );
  }

  /** Something changed, or a host came: bring all hosts up to date soon. Cheap to call often. */
  nudge(): void {
    this.#rounds.nudge();
  }

  /** Waits until the last nudge is worked off. */
  async settle(): Promise<void> {
    await this.#rounds.settle();
  }

  async #pushAll(): Promise<void> {
    const { store, hub } = this.#options;
    const connected = new Set(hub.connectedHosts());
    if (connected.size === 0) return;
    const rows = (await hosts.select(store.db, {}, 'name')).filter((host) => connected.has(host.id));
    const poolRows = await pools.select(store.db);
    const reached = new Set((await poolHosts.select(store.db, { reachable: true })).map((row) => row.poolId));
    const initializers = new Map<string, string>();
    for (const pool of poolRows) {
      const first = rows.find((host) => host.clusterId === pool.clusterId);
      if (pool.shared && !reached.has(pool.id) && first !== undefined) initializers.set(pool.id, first.id);
    }
    const push = async (hostId: string, clusterId: string): Promise<void> => {
      const list = poolRows
        .filter((pool) => pool.clusterId === clusterId)
        .map(({ id, name, kind, path, shared }) => {
          const initialize = !shared || initializers.get(id) === hostId;
          return { poolId: id, name, kind, path, shared, initialize };
        });
      await this.#pushPools(hostId, list);
    };
    const firsts = new Set(initializers.values());
    const [early, late] = [rows.filter((host) => firsts.has(host.id)), rows.filter((host) => !firsts.has(host.id))];
    for (const group of [early, late]) {
      for (let at = 0; at < group.length; at += atOnce) {
        await Promise.all(group.slice(at, at + atOnce).map((host) => push(host.id, host.clusterId)));
      }
    }
  }

  #pushPools(hostId: string, list: PoolList): Promise<void> {
    // Whether a host may make the marker is no change of the list: it is not sent again for that.
    const compared = list.map((pool) => ({ ...pool, initialize: null }));
    return this.#push(hostId, 'pools', JSON.stringify(compared), async () => {
      const { pools: reports } = await this.#options.calls.call(hostId, poolApply, { pools: list });
      await this.#options.inventory.pools(hostId, reports);
    });
  }

  async #push(hostId: string, what: keyof Taken, content: string, send: () => Promise<void>): Promise<void> {
    const link = this.#options.hub.find(hostId);
    if (link === undefined) return;
    const taken = this.#taken.get(link) ?? {};
    this.#taken.set(link, taken);
    if (taken[what] === content) return;
    try {
      await send();
      taken[what] = content;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log(`host ${hostId} did not take its ${what}: ${reason}`);
      this.#options.clock.after(retryMs, () => this.nudge());
      const message = (name: string): string => `Host ${name} did not take its ${what}: ${reason}`;
      if (link.peer.isOpen) await this.#options.inventory.hostEvent(hostId, 'host.push-failed', 'warning', message);
    }
  }
}
