/** Incidents with their timelines, and rehearsals: what would happen if a host died now, decided by the rules of the real thing. */
import type { haOperations, HaRehearsal } from '@kvasir/api/resources/ha.ts';
import { rehearse } from '@kvasir/control/ha/rehearsal.ts';
import { unableHosts } from '@kvasir/control/ha/restart.ts';
import type { HostHaState } from '@kvasir/control/ha/snapshot.ts';
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { type HaIncidentRow, haIncidents, haRestarts, haTimeline } from '../store/ha-incidents.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import { placeInThought } from '../tasks/ha-placement.ts';
import { readHaSnapshot } from '../tasks/ha-snapshot.ts';
import type { Call, ReadService } from './call.ts';
import { clusterFilter } from './clusters.ts';
import { findHost } from './hosts.ts';
import { iso, isoOrNull } from './views.ts';
import { findVm } from './vms.ts';

export const listIncidents: ReadService<typeof haOperations.list> = async (call, { query }) => {
  const { cluster, host, open, ...paging } = query;
  const hostId = host === undefined ? undefined : (await findHost(call, host)).id;
  const ended =
    open === undefined ? [] : [open ? sql<boolean>`closed_at is null` : sql<boolean>`closed_at is not null`];
  const page = await haIncidents.list(call.db, {
    sort: '-openedAt',
    ...paging,
    where: { clusterId: await clusterFilter(call, cluster), hostId },
    matching: ended,
  });
  return { ...page, items: page.items.map(incidentView) };
};

export const getIncident: ReadService<typeof haOperations.get> = async (call, { params }) => {
  const incident = await haIncidents.get(call.db, params.incident);
  const timeline = await haTimeline.select(call.db, { incidentId: incident.id }, 'seq');
  return {
    ...incidentView(incident),
    timeline: timeline.map(({ at, kind, message, because, vmId }) => ({
      at: iso(at),
      sinceMs: at - incident.openedAt,
      kind,
      message,
      because,
      vmId,
    })),
    restarts: await restartsOf(call.db, incident.id),
  };
};

export const drillHost: ReadService<typeof haOperations.drill> = async (call, { params }) =>
  rehearsalOf(call, await findHost(call, params.host));

export const explainVm: ReadService<typeof haOperations.explain> = async (call, { params, query }) => {
  const vm = await findVm(call, params.vm, query.project);
  const about = { vmId: vm.id, vmName: vm.name, position: null, hostName: null, after: [] };
  if (vm.hostId === null) return { ...about, because: 'it is on no host', currentHostName: null, proofs: [] };
  const host = await hosts.get(call.db, vm.hostId);
  const { restarts, proofs } = await rehearsalOf(call, host);
  const own = restarts.find(({ vmId }) => vmId === vm.id);
  return { ...about, because: 'its host knows nothing of it', ...own, currentHostName: host.name, proofs };
};

async function rehearsalOf(call: Call, host: HostRow): Promise<HaRehearsal> {
  const { clock, signals } = call.env;
  const manager = { leadingSinceMs: 0, heldUpAtMs: null };
  const seams = { signals, manager, fencings: new Map() };
  const snapshot = await readHaSnapshot(call.db, seams, host.clusterId, [host.id]);
  const { proofs, restarts, left } = rehearse(snapshot, host.id, clock.now());
  const unfit = snapshot.hosts.filter(
    ({ id, ha, state }) => id === host.id || ha.state !== 'running' || state !== 'up',
  );
  const placed = await placeInThought(
    call.db,
    clock,
    host.clusterId,
    restarts.map(({ vm }) => vm.id),
    unfit.map(({ id }) => id),
    ({ id }) => [host.id, ...unableHosts(snapshot, restarts.find(({ vm }) => vm.id === id)?.vm)],
  );
  const nameOf = new Map(snapshot.hosts.map(({ id, name }) => [id, name]));
  const proved = proofs.find(({ method, possible }) => possible && method !== 'operator');
  return {
    hostId: host.id,
    hostName: host.name,
    fenced: proved !== undefined,
    proofs: proofs.map((proof) => ({ ...proof })),
    restarts: [
      ...restarts.map(({ vm, after }, index) => {
        const place = placed.get(vm.id);
        const hostName = (place?.hostId && nameOf.get(place.hostId)) || null;
        const because = hostName === null ? `no host takes it: ${place?.because ?? ''}` : (place?.because ?? '');
        return { vmId: vm.id, vmName: vm.name, position: index + 1, hostName, because, after: [...after] };
      }),
      ...left.map(({ vm, because }) => ({
        vmId: vm.id,
        vmName: vm.name,
        position: null,
        hostName: null,
        because,
        after: [],
      })),
    ],
  };
}

async function restartsOf(db: Executor, incidentId: string) {
  const rows = await haRestarts.select(db, { incidentId }, 'createdAt');
  const vmOf = new Map((await vms.select(db, { id: rows.map(({ vmId }) => vmId) })).map((row) => [row.id, row.name]));
  const hostIds = rows.flatMap(({ fromHostId, toHostId }) => [fromHostId, ...(toHostId === null ? [] : [toHostId])]);
  const hostOf = new Map((await hosts.select(db, { id: [...new Set(hostIds)] })).map((row) => [row.id, row.name]));
  return rows.map(({ vmId, state, fromHostId, toHostId, attempts, reason }) => ({
    vmId,
    vmName: vmOf.get(vmId) ?? '',
    state,
    fromHostName: hostOf.get(fromHostId) ?? null,
    toHostName: (toHostId === null ? undefined : hostOf.get(toHostId)) ?? null,
    attempts,
    reason,
  }));
}

function incidentView(row: HaIncidentRow) {
  const { id, clusterId, hostId, hostName, state, because, alarms, openedAt, closedAt } = row;
  return {
    id,
    clusterId,
    hostId,
    hostName,
    state: state as HostHaState,
    because,
    alarms: [...alarms],
    openedAt: iso(openedAt),
    closedAt: isoOrNull(closedAt),
  };
}
