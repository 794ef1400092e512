/**
 * What placement has to know of a cluster, kept in memory from one decision to the next: to read a thousand hosts and what
 * twenty thousand VMs hold of them anew for each decision costs more than all the rest of a create.
 *
 * Invariants: the truth is the database. A snapshot serves for choosing only. Whoever takes a choice has the chosen host read
 * anew (`refresh`) in the transaction that writes it, and whoever is refused is refused by a snapshot that was read in that
 * transaction. What is promised here is added at once, so that many decisions in a row spread as if each had read everything.
 *
 * What others change (a VM that ends, a host that comes) is seen late by a millisecond for each host at most: small clusters
 * are as good as always read anew, and reading a large one (some 20 µs a host) never takes more than a few percent of the time.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { PlacementCluster, PlacementWorld } from '@kvasir/control/placement/world.ts';
import { clusters } from './clusters.ts';
import type { Executor } from './database.ts';
import { type KnownHost, type Promised, readPlacementHosts } from './placement-hosts.ts';

const readAgainAfterMsPerHost = 1;

export class ClusterSnapshots {
  readonly #clock: Clock;
  readonly #snapshots = new Map<string, ClusterSnapshot>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One that is young enough to choose by, or of any age. @throws not-found */
  async of(db: Executor, clusterId: string, { anyAge = false } = {}): Promise<ClusterSnapshot> {
    const known = this.#snapshots.get(clusterId);
    if (known !== undefined && (anyAge || this.#isYoung(known))) return known;
    return await this.read(db, clusterId);
  }

  /** One that is read now. @throws not-found */
  async read(db: Executor, clusterId: string): Promise<ClusterSnapshot> {
    const readAtMs = this.#clock.now();
    const cluster = await clusters.get(db, clusterId);
    const snapshot = new ClusterSnapshot(readAtMs, clusterId, cluster, await readPlacementHosts(db, { clusterId }));
    this.#snapshots.set(clusterId, snapshot);
    return snapshot;
  }

  /** A clock that was put back makes nothing young. */
  #isYoung({ readAtMs, hosts }: ClusterSnapshot): boolean {
    return Math.abs(this.#clock.now() - readAtMs) < hosts.length * readAgainAfterMsPerHost;
  }
}

/** A cluster as placement sees it. Every host has every network. */
export class ClusterSnapshot implements PlacementWorld {
  readonly readAtMs: number;
  readonly #clusterId: string;
  #cluster: PlacementCluster;
  /** By name. */
  readonly #hosts: KnownHost[];
  readonly #positions: ReadonlyMap<string, number>;

  constructor(readAtMs: number, clusterId: string, cluster: PlacementCluster, byName: KnownHost[]) {
    this.readAtMs = readAtMs;
    this.#clusterId = clusterId;
    this.#cluster = cluster;
    this.#hosts = byName;
    this.#positions = new Map(byName.map(({ id }, position) => [id, position]));
  }

  get cluster(): PlacementCluster {
    return this.#cluster;
  }

  get hosts(): readonly KnownHost[] {
    return this.#hosts;
  }

  /** Adds what a decision gives away on this host. */
  promise(hostId: string, more: Promised): void {
    const position = this.#positions.get(hostId);
    if (position !== undefined) this.#hosts[position] = this.#hosts[position]!.withPromised(more);
  }

  /** Reads one host and the cluster's rules anew; undefined when it is not there any more. @throws not-found */
  async refresh(db: Executor, hostId: string): Promise<KnownHost | undefined> {
    const position = this.#positions.get(hostId);
    const [host] = await readPlacementHosts(db, { hostIds: [hostId] });
    if (position === undefined || host === undefined) return undefined;
    this.#cluster = await clusters.get(db, this.#clusterId);
    this.#hosts[position] = host;
    return host;
  }
}
