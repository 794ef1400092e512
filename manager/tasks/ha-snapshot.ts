/**
 * Puts together what decisions about high availability are told of one cluster: rows of the database, and the signals that only
 * live in the memory of the leading manager. Read in a transaction it is exact, and what is decided on it may be written there.
 */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { HeardHost } from '@kvasir/control/ha/power-evidence.ts';
import { lostPools } from '@kvasir/control/ha/signals.ts';
import type { HaSnapshot, HostFacts, LeaseFacts, ManagerFacts } from '@kvasir/control/ha/snapshot.ts';
import { clusters } from '../store/clusters.ts';
import type { Executor } from '../store/database.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { proofOf, validProofs } from '../store/fence-proofs.ts';
import { fenceAttempts, type HaIncidentRow, haIncidents } from '../store/ha-incidents.ts';
import { clusterHa, policyOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { clusterLeases } from '../store/leases.ts';
import { pools } from '../store/pools.ts';
import { readHaVms } from './ha-vms.ts';

/** What is known of hosts besides the database. */
export interface HostSignals {
  /** When its agent was last heard since this manager leads. */
  lastHeartbeatMs(hostId: string): number | undefined;
  /** Its last word of leases, peers and uplinks, and when it came. */
  liveness(hostId: string): { readonly report: Liveness; readonly atMs: number } | undefined;
  /** Processors that a running VM uses, as its host measured; left out or undefined: nobody knows. */
  cpusUsed?(hostId: string, vmId: string): number | undefined;
}

/** Power-offs that are under way. */
export type RunningFencings = ReadonlyMap<string, { readonly deviceId: string; readonly sinceMs: number }>;

export interface HaSnapshotSeams {
  readonly signals: HostSignals;
  readonly manager: ManagerFacts;
  readonly fencings: RunningFencings;
}

/** With the VMs of `alsoHostIds` although these hosts are well. @throws KvasirError `not-found` without such a cluster */
export async function readHaSnapshot(
  db: Executor,
  seams: HaSnapshotSeams,
  clusterId: string,
  alsoHostIds: readonly string[] = [],
): Promise<HaSnapshot> {
  const cluster = await clusters.get(db, clusterId);
  const settings = await clusterHa.find(db, { clusterId });
  const hosts = await readHosts(db, seams, clusterId);
  const troubled = hosts.filter((host) => isTroubled(host, seams)).map(({ id }) => id);
  return {
    manager: seams.manager,
    cluster: {
      id: clusterId,
      name: cluster.name,
      policy: policyOf(settings),
      suspectsItself: settings?.suspectsItself ?? false,
      poolNames: await namesOfLost(db, hosts),
    },
    hosts,
    vms: await readHaVms(db, clusterId, [...new Set([...troubled, ...alsoHostIds])]),
  };
}

/** Hosts of all other clusters. */
export async function readHostsElsewhere(
  db: Executor,
  signals: Pick<HostSignals, 'lastHeartbeatMs'>,
  clusterId: string,
): Promise<HeardHost[]> {
  const rows = await db.selectFrom('hosts').select(['id', 'name']).where('clusterId', '<>', clusterId).execute();
  return rows.map(({ id, name }) => ({ name, lastHeartbeatMs: signals.lastHeartbeatMs(id) ?? null }));
}

async function readHosts(
  db: Executor,
  { signals, fencings }: HaSnapshotSeams,
  clusterId: string,
): Promise<HostFacts[]> {
  const rows = await db
    .selectFrom('hosts')
    .select(['id', 'name', 'state'])
    .where('clusterId', '=', clusterId)
    .orderBy('name')
    .execute();
  const hostIds = rows.map(({ id }) => id);
  const ha = new Map((await hostHa.select(db, { hostId: hostIds })).map((row) => [row.hostId, row]));
  const proofs = await validProofs(db);
  const incidents = new Map(
    (await haIncidents.select(db, { clusterId, closedAt: null })).map((row) => [row.hostId, row]),
  );
  const attempts = await failedAttempts(db, [...incidents.values()]);
  const devices = Map.groupBy(await fenceDevices.select(db, {}, 'position'), ({ hostId }) => hostId);
  const leasePlan = await readLeasePlan(db, clusterId);
  return rows.map(({ id, name, state }): HostFacts => {
    const known = ha.get(id);
    const proof = proofs.get(id);
    const incident = incidents.get(id);
    return {
      id,
      name,
      state: state as HostFacts['state'],
      ha: { state: known?.state ?? 'running', because: known?.because ?? null, sinceMs: known?.since ?? 0 },
      lastHeartbeatMs: signals.lastHeartbeatMs(id) ?? null,
      liveness: signals.liveness(id) ?? null,
      bootId: known?.bootId ?? null,
      leasePlan,
      fenceDevices: (devices.get(id) ?? []).map(({ id: deviceId, kind: deviceKind, seenOnAt, mistrustedBecause }) => ({
        id: deviceId,
        kind: deviceKind,
        seenOnAtMs: seenOnAt,
        mistrustedBecause,
      })),
      fencing: fencings.get(id) ?? null,
      failedFencings: (incident && attempts.get(incident.id)) ?? [],
      proof: proof ? { id: proof.id, proof: proofOf(proof) } : null,
      incident: incident ? { id: incident.id, openedAtMs: incident.openedAt, alarms: incident.alarms } : null,
    };
  });
}

/** Every host of the cluster keeps leases in all its shared pools. */
async function readLeasePlan(db: Executor, clusterId: string): Promise<LeaseFacts | null> {
  const terms = await clusterLeases.find(db, { clusterId });
  if (terms?.enabled !== true) return null;
  const { leaseMs, renewEveryMs, killAfterMs } = terms;
  const shared = await pools.select(db, { clusterId, shared: true });
  return { leaseMs, renewEveryMs, killAfterMs, poolIds: shared.map(({ id }) => id) };
}

/** By incident; of each device the last. */
async function failedAttempts(db: Executor, open: readonly HaIncidentRow[]) {
  const rows = await fenceAttempts.select(db, { incidentId: open.map(({ id }) => id) }, 'startedAt');
  const failed = new Map<string, HostFacts['failedFencings'][number][]>();
  for (const { incidentId, deviceId, finishedAt, error } of rows) {
    if (finishedAt === null || error === null) continue;
    const others = (failed.get(incidentId) ?? []).filter((attempt) => attempt.deviceId !== deviceId);
    failed.set(incidentId, [...others, { deviceId, atMs: finishedAt, reason: error }]);
  }
  return failed;
}

/** Only of pools that a host cannot renew its lease in: seldom any. */
async function namesOfLost(db: Executor, hosts: readonly HostFacts[]): Promise<Readonly<Record<string, string>>> {
  const ids = new Set(hosts.flatMap(lostPools));
  if (ids.size === 0) return {};
  return Object.fromEntries((await pools.select(db, { id: [...ids] })).map(({ id, name }) => [id, name]));
}

/** Its VMs may need care. */
function isTroubled({ ha, state, incident, proof, id }: HostFacts, { signals }: HaSnapshotSeams): boolean {
  const quiet = ha.state === 'running' && state === 'up' && incident === null && proof === null;
  return !quiet || signals.lastHeartbeatMs(id) === undefined;
}
