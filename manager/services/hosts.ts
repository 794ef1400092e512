/** Hosts as operators see them. What a host has and whether it is up is written by its link, not here. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { hostOperations } from '@kvasir/api/resources/host.ts';
import { committedOn } from '../store/commitments.ts';
import type { Executor } from '../store/database.ts';
import { closeIncident, haIncidents } from '../store/ha-incidents.ts';
import { hostDomains } from '../store/host-domains.ts';
import { standbyOf } from '../store/host-standby.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { countOnlyCopies, imageCopies } from '../store/images.ts';
import { openTaskStates, tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { byNameOrId } from './access.ts';
import type { Call, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkRevision, updateRow } from './changes.ts';
import { clusterFilter, findCluster } from './clusters.ts';
import { functionViews } from './host-functions.ts';
import { hostHaViews } from './host-ha-views.ts';
import { iso, isoOrNull, versionedView } from './views.ts';

const joinTokenMinutes = 60;

export const listHosts: ReadService<typeof hostOperations.list> = async (call, { query }) => {
  const { name, cluster, state, ...paging } = query;
  const where = { name, state, clusterId: await clusterFilter(call, cluster) };
  const page = await hosts.list(call.db, { sort: 'name', ...paging, where });
  return { ...page, items: await hostViews(call, page.items) };
};

export const getHost: ReadService<typeof hostOperations.get> = async (call, { params }) =>
  hostView(call, await findHost(call, params.host));

export const updateHost: ChangeService<typeof hostOperations.update> = async (change, { params, body }) => {
  const host = await findHost(change, params.host);
  // Placed there now, a VM would lose its power, or wait for a host that is off.
  if (body.schedulable === true && (await standbyOf(change.tx, host.id)) !== undefined)
    throw new KvasirError('wrong-state', { action: 'open', kind: hosts.kind, name: host.name, state: 'in standby' });
  return await hostView(change, await updateRow(change, hosts, host, body));
};

export const deleteHost: OpenService<typeof hostOperations.delete> = async (call, { params }) => {
  const hostId = await call.change(async (change) => {
    const row = await findHost(change, params.host);
    checkRevision(change, hosts.kind, row);
    if (row.state === 'up') {
      throw new KvasirError('wrong-state', { action: 'remove', kind: hosts.kind, name: row.name, state: 'up' });
    }
    const uses = [
      { what: 'VM(s)', count: await vms.count(change.tx, { hostId: row.id }) },
      { what: 'migrating VM(s)', count: await vms.count(change.tx, { reservedHostId: row.id }) },
      { what: 'VM(s) that leave it', count: await countLeaving(change.tx, row.id) },
      { what: 'local volume(s)', count: await volumes.count(change.tx, { hostId: row.id }) },
      { what: 'image(s) that lie nowhere else', count: await countOnlyCopies(change.tx, { hostId: row.id }) },
    ];
    const use = uses.find(({ count }) => count > 0);
    if (use) throw new KvasirError('in-use', { kind: hosts.kind, name: row.name, by: `${use.count} ${use.what}` });
    await imageCopies.remove(change.tx, { hostId: row.id });
    for (const incident of await haIncidents.select(change.tx, { hostId: row.id, closedAt: null }))
      await closeIncident(change.tx, incident.id, change.env.clock.now(), `${row.name} was removed`);
    await haIncidents.set(change.tx, { hostId: row.id }, { hostId: null });
    await hosts.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', hosts.kind, row);
    return row.id;
  });
  await call.env.links.forgetHost(hostId);
  return null;
};

/** Should the task fail, the VM belongs to the host again. */
async function countLeaving(db: Executor, hostId: string): Promise<number> {
  const open = { kind: ['vm-restart', 'vm-rehome'], state: openTaskStates } as const;
  return (await tasks.select(db, open)).filter(
    ({ params }) => (params as { fromHostId?: string }).fromHostId === hostId,
  ).length;
}

/** What the host reports now; while it is not connected, what it reported last. */
export const listHostDomains: ReadService<typeof hostOperations.domains> = async (call, { params }) => {
  const host = await findHost(call, params.host);
  const rows = await hostDomains.select(call.db, { hostId: host.id }, 'name');
  const items = rows.map(({ domainId, name, state, managed, vmId }) => ({ id: domainId, name, state, managed, vmId }));
  return { items, nextCursor: null };
};

export const createJoinToken: OpenService<typeof hostOperations.createJoinToken> = async (call, { body }) => {
  const cluster = await findCluster(call, body.cluster);
  const lifetimeMs = (body.lifetimeMinutes ?? joinTokenMinutes) * 60_000;
  const userId = call.actor?.userId ?? null;
  const { token, expiresAtMs } = await call.env.links.createJoinToken({ clusterId: cluster.id, lifetimeMs, userId });
  return { token, expiresAt: iso(expiresAtMs) };
};

/** @throws not-found */
export async function findHost(call: Call, nameOrId: string): Promise<HostRow> {
  const row = await hosts.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: hosts.kind, id: nameOrId });
  return row;
}

export async function hostView(call: Call, row: HostRow) {
  return (await hostViews(call, [row]))[0]!;
}

async function hostViews(call: Call, rows: readonly HostRow[]) {
  const hostIds = rows.map(({ id }) => id);
  const committed = await committedOn(call.db, { hostIds });
  const ha = await hostHaViews(call.db, hostIds);
  const functions = await functionViews(call.db, rows);
  return rows.map((row) => {
    const { name, description, labels, clusterId, state, schedulable, address, virtualization } = row;
    const { cpus, cpuModel, memoryMib, versions } = row;
    return {
      ...versionedView(row),
      name,
      description,
      labels: { ...labels },
      clusterId,
      state,
      ha: ha.get(row.id)!,
      schedulable,
      address,
      virtualization,
      cpus,
      cpuModel,
      memoryMib,
      allocated: committed.get(row.id) ?? { vms: 0, cpus: 0, memoryMib: 0 },
      versions: { ...versions },
      tunnelAddress: row.inventory?.tunnelAddress ?? null,
      nics: [...(row.inventory?.nics ?? [])],
      physicalFunctions: functions.get(row.id) ?? [],
      lastSeenAt: isoOrNull(row.lastSeenAt),
    };
  });
}
