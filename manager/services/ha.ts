/** Incidents with their timelines. */
import type { haOperations } from '@kvasir/api/resources/ha.ts';
import type { HostHaState } from '@kvasir/control/ha/snapshot.ts';
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { type HaIncidentRow, haIncidents, haRestarts, haTimeline } from '../store/ha-incidents.ts';
import { hosts } from '../store/hosts.ts';
import { vms } from '../store/vms.ts';
import type { ReadService } from './call.ts';
import { clusterFilter } from './clusters.ts';
import { findHost } from './hosts.ts';
import { iso, isoOrNull } from './views.ts';

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
