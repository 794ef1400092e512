/**
 * Tells every host which leases to keep and whom to watch: when it connects, and when that changed. Owns the slots, which are
 * a host's for its life.
 *
 * Invariants: a slot belongs to one host of its cluster; a plan goes out after the pools that it names; the generation grows over
 * all managers. In a large cluster a host watches its nearest neighbours by slot, so that the work does not grow with the square;
 * they watch it as well, for a host answers those alone whom it watches.
 */
import { randomBytes } from 'node:crypto';
import { livenessApply, type LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { type ClusterLeasesRow, clusterLeases, defaultLeases, hostLeaseSlots } from '../store/leases.ts';
import { type PoolRow, pools } from '../store/pools.ts';
import type { HostCalls } from './calls.ts';
import type { HostLink } from './host-link.ts';
import type { LinkHub } from './link-hub.ts';
import { NudgedRounds } from './nudged-rounds.ts';

export interface LivenessPushesOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly hub: LinkHub;
  readonly calls: HostCalls;
  readonly epoch: () => number | undefined;
  /** Resolves when the pools have been sent. */
  readonly poolsSent: () => Promise<void>;
  readonly log: (message: string, error?: unknown) => void;
}

/** Half of them on each side. */
const watchedNeighbours = 16;
const slots = 4096;
const generationsPerEpoch = 1_000_000;
const atOnce = 32;
const retryMs = 30_000;

type Plan = Omit<LivenessPlan, 'generation'>;

export class LivenessPushes {
  readonly #options: LivenessPushesOptions;
  readonly #taken = new WeakMap<HostLink, string>();
  readonly #rounds: NudgedRounds;
  #generation = 0;

  constructor(options: LivenessPushesOptions) {
    this.#options = options;
    this.#rounds = new NudgedRounds(
      async () => {
        await options.poolsSent();
        await this.#pushAll();
      },
      (error) => options.log('the plans of the leases could not be sent to the hosts', error),
    );
  }

  nudge(): void {
    this.#rounds.nudge();
  }

  async settle(): Promise<void> {
    await this.#rounds.settle();
  }

  async #pushAll(): Promise<void> {
    const { store, hub } = this.#options;
    const connected = hub.connectedHosts();
    if (connected.length === 0) return;
    const rows = await hosts.select(store.db, {}, 'name');
    const terms = await this.#terms(rows);
    const bySlot = await this.#slots(rows.filter((host) => host.state !== 'joining'));
    const shared = await pools.select(store.db, { shared: true });
    for (let at = 0; at < connected.length; at += atOnce) {
      await Promise.all(
        connected.slice(at, at + atOnce).map(async (hostId) => {
          const host = rows.find((row) => row.id === hostId);
          const leases = host === undefined ? undefined : terms.get(host.clusterId);
          if (host === undefined || leases === undefined) return;
          const plan = planOf(host, leases, shared, bySlot.get(host.clusterId) ?? []);
          if (plan !== undefined) await this.#push(hostId, plan);
        }),
      );
    }
  }

  /** The terms of each cluster; made with the defaults where there are none. */
  async #terms(rows: readonly HostRow[]): Promise<ReadonlyMap<string, ClusterLeasesRow>> {
    const { store } = this.#options;
    const known = new Map((await clusterLeases.select(store.db)).map((row) => [row.clusterId, row]));
    const missing = [...new Set(rows.map((host) => host.clusterId))].filter((clusterId) => !known.has(clusterId));
    if (missing.length === 0) return known;
    await store.transaction(async (tx) => {
      for (const clusterId of missing) {
        if ((await clusterLeases.find(tx, { clusterId })) !== undefined) continue;
        const probeKey = randomBytes(32).toString('base64');
        await clusterLeases.insert(tx, { clusterId, ...defaultLeases, probeKey });
      }
    });
    return new Map((await clusterLeases.select(store.db)).map((row) => [row.clusterId, row]));
  }

  /** Hosts of each cluster in the order of their slots; those without one get the lowest that is free. */
  async #slots(rows: readonly HostRow[]): Promise<ReadonlyMap<string, readonly Slotted[]>> {
    const { store } = this.#options;
    let taken = await hostLeaseSlots.select(store.db);
    const having = new Set(taken.map((row) => row.hostId));
    const missing = rows.filter((host) => !having.has(host.id));
    if (missing.length > 0) {
      await store.transaction(async (tx) => {
        taken = await hostLeaseSlots.select(tx);
        for (const { id: hostId, clusterId } of missing) {
          if (taken.some((row) => row.hostId === hostId)) continue;
          const used = new Set(taken.filter((row) => row.clusterId === clusterId).map((row) => row.slot));
          let slot = 0;
          while (used.has(slot)) slot += 1;
          if (slot >= slots) throw new Error(`cluster ${clusterId} has more hosts than lease slots`);
          taken.push(await hostLeaseSlots.insert(tx, { hostId, clusterId, slot }));
        }
      });
    }
    const byId = new Map(rows.map((host) => [host.id, host]));
    const bySlot = new Map<string, Slotted[]>();
    for (const { hostId, clusterId, slot } of taken.sort((a, b) => a.slot - b.slot)) {
      const host = byId.get(hostId);
      if (host === undefined) continue;
      const list = bySlot.get(clusterId) ?? [];
      bySlot.set(clusterId, list);
      list.push({ host, slot });
    }
    return bySlot;
  }

  async #push(hostId: string, plan: Plan): Promise<void> {
    const { hub, calls, clock, epoch, log } = this.#options;
    const link = hub.find(hostId);
    const content = JSON.stringify(plan);
    if (link === undefined || this.#taken.get(link) === content) return;
    try {
      const current = epoch();
      if (current === undefined) throw new KvasirError('not-leader');
      this.#generation += 1;
      const generation = current * generationsPerEpoch + this.#generation;
      await calls.call(hostId, livenessApply, { generation, ...plan });
      this.#taken.set(link, content);
    } catch (error) {
      // An agent of before the leases: nobody relies on it.
      if (error instanceof KvasirError && error.code === 'unsupported') return void this.#taken.set(link, content);
      log(`host ${hostId} did not take its plan of leases: ${error instanceof Error ? error.message : String(error)}`);
      clock.after(retryMs, () => this.nudge());
    }
  }
}

interface Slotted {
  readonly host: HostRow;
  readonly slot: number;
}

function planOf(
  host: HostRow,
  leases: ClusterLeasesRow,
  shared: readonly PoolRow[],
  cluster: readonly Slotted[],
): Plan | undefined {
  const at = cluster.findIndex((each) => each.host.id === host.id);
  const own = cluster[at];
  if (own === undefined) return undefined;
  const others = [...cluster.slice(at + 1), ...cluster.slice(0, at)];
  const half = watchedNeighbours / 2;
  const nearest = others.length > watchedNeighbours ? [...others.slice(0, half), ...others.slice(-half)] : others;
  const { renewEveryMs, killAfterMs, leaseMs, probePort, probeKey } = leases;
  const kept = leases.enabled ? shared.filter((pool) => pool.clusterId === host.clusterId) : [];
  return {
    renewEveryMs,
    killAfterMs,
    leaseMs,
    pools: kept.map((pool) => ({ poolId: pool.id, slot: own.slot })),
    peers: nearest.map(({ host: peer, slot }) => ({ hostId: peer.id, name: peer.name, address: peer.address, slot })),
    probePort,
    probeKey: probePort === null ? null : probeKey,
  };
}
