/**
 * Which clusters have to be looked at now. Reads little: the hosts of all clusters every few seconds, and otherwise memory.
 *
 * A cluster is due when one of its hosts is silent or says that something is wrong, and while anything is open in it: with every
 * change in the database, and once a second for what only time changes.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { HaSnapshot, ManagerFacts } from '@kvasir/control/ha/snapshot.ts';
import { defaultHaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import type { Store } from '../store/database.ts';
import { haRestarts } from '../store/ha-incidents.ts';
import { clusterHa } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';

interface KnownHost {
  readonly id: string;
  readonly state: string;
  readonly haState: string;
  readonly bootId: string | null;
}

interface KnownCluster {
  readonly hosts: readonly KnownHost[];
  readonly suspectAfterMs: number;
  readonly open: boolean;
  lookedMs: number;
}

export interface HaWatchSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly signals: HostSignals;
}

const readEveryMs = 2000;
const openEveryMs = 1000;

export class HaWatch {
  readonly #seams: HaWatchSeams;
  #known = new Map<string, KnownCluster>();
  #readMs = 0;
  #committed = true;

  constructor(seams: HaWatchSeams) {
    this.#seams = seams;
  }

  reset(): void {
    this.#known.clear();
    this.#readMs = 0;
  }

  nudge(): void {
    this.#readMs = 0;
  }

  committed(): void {
    this.#committed = true;
  }

  /** What was read for a decision is newer than what is known here. */
  decided({ cluster, hosts, vms }: HaSnapshot): void {
    const open = hosts.some(({ incident }) => incident !== null) || vms.some(({ restart }) => restart !== null);
    this.#known.set(cluster.id, {
      hosts: hosts.map(({ id, state, ha, bootId }) => ({ id, state, haState: ha.state, bootId })),
      suspectAfterMs: cluster.policy.suspectAfterMs,
      open: open || cluster.suspectsItself,
      lookedMs: this.#seams.clock.now(),
    });
  }

  async due({ leadingSinceMs }: ManagerFacts): Promise<string[]> {
    const { clock } = this.#seams;
    const now = clock.now();
    if (Math.abs(now - this.#readMs) >= readEveryMs) await this.#read(now);
    const committed = this.#committed;
    this.#committed = false;
    const due: string[] = [];
    for (const [clusterId, cluster] of this.#known) {
      const waited = Math.abs(now - cluster.lookedMs) >= openEveryMs;
      const open = cluster.open && (committed || waited);
      if (open || cluster.hosts.some((host) => this.#isTroubled(host, cluster, leadingSinceMs, now, waited)))
        due.push(clusterId);
    }
    return due;
  }

  #isTroubled(
    { id, state, haState, bootId }: KnownHost,
    { suspectAfterMs }: KnownCluster,
    leadingSinceMs: number,
    now: number,
    waited: boolean,
  ): boolean {
    if (state === 'joining') return false;
    const { signals } = this.#seams;
    const heardMs = signals.lastHeartbeatMs(id);
    const silent = now - Math.max(heardMs ?? 0, leadingSinceMs) >= suspectAfterMs;
    // What is known to be lost is looked at now and then; what gets lost, at once.
    const out = haState === 'fenced' || haState === 'maintenance' || haState === 'standby';
    if (out) return !silent && heardMs !== undefined && waited;
    if (haState !== 'running') return true;
    const report = signals.liveness(id)?.report;
    if (report === undefined) return silent;
    const wrong =
      report.own.some(({ lost, error }) => lost || error !== null) ||
      report.uplinks.some(({ up }) => !up) ||
      report.hypervisorSilentMs !== undefined;
    return silent || wrong || report.bootId !== bootId;
  }

  async #read(now: number): Promise<void> {
    const { db } = this.#seams.store;
    const rows = await db.selectFrom('hosts').select(['id', 'clusterId', 'state']).execute();
    const ha = new Map((await hostHa.select(db)).map((row) => [row.hostId, row]));
    const settings = new Map((await clusterHa.select(db)).map((row) => [row.clusterId, row]));
    const incidents = await db.selectFrom('haIncidents').select('clusterId').where('closedAt', 'is', null).execute();
    const restarting = (await haRestarts.count(db, { endedAt: null })) > 0;
    const known = new Map<string, KnownCluster>();
    for (const [clusterId, hosts] of Map.groupBy(rows, (row) => row.clusterId)) {
      known.set(clusterId, {
        hosts: hosts.map(({ id, state }) => ({
          id,
          state,
          haState: ha.get(id)?.state ?? 'running',
          bootId: ha.get(id)?.bootId ?? null,
        })),
        suspectAfterMs: settings.get(clusterId)?.policy.suspectAfterMs ?? defaultHaPolicy.suspectAfterMs,
        open:
          restarting ||
          settings.get(clusterId)?.suspectsItself === true ||
          incidents.some((row) => row.clusterId === clusterId),
        lookedMs: this.#known.get(clusterId)?.lookedMs ?? 0,
      });
    }
    this.#known = known;
    this.#readMs = now;
  }
}
