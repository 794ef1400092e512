/** Clusters and their policies. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { type ClusterRow, clusters } from '../store/clusters.ts';
import { hosts } from '../store/hosts.ts';
import { pools } from '../store/pools.ts';
import { vms } from '../store/vms.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, saysSomething, updateRow } from './changes.ts';
import { changePolicy, policiesOf } from './ha-settings.ts';
import { versionedView } from './views.ts';

/** The cluster that requests without one mean. */
export const defaultClusterName = 'default';

export const listClusters: ReadService<typeof clusterOperations.list> = async (call, { query }) => {
  const { name, ...paging } = query;
  const page = await clusters.list(call.db, { sort: 'name', ...paging, where: { name } });
  return { ...page, items: await clusterViews(call, page.items) };
};

export const getCluster: ReadService<typeof clusterOperations.get> = async (call, { params }) =>
  clusterView(call, await findCluster(call, params.cluster));

export const createCluster: ChangeService<typeof clusterOperations.create> = async (change, { body }) => {
  checkName(body.name);
  const { ha, ...settings } = body;
  const row: ClusterRow = {
    ...fresh(change),
    description: '',
    placementPolicy: 'spread',
    cpuOvercommit: 8,
    memoryOvercommit: 1,
    memoryReservedMib: 512,
    ...settings,
  };
  await clusters.insert(change.tx, row);
  await changePolicy(change, row.id, ha);
  await announceLife(change, 'created', clusters.kind, row);
  return clusterView(change, row);
};

export const updateCluster: ChangeService<typeof clusterOperations.update> = async (change, { params, body }) => {
  checkName(body.name);
  const { ha, ...settings } = body;
  const found = await findCluster(change, params.cluster);
  const row = await updateRow(change, clusters, found, settings, saysSomething(ha));
  if (saysSomething(ha)) await changePolicy(change, row.id, ha);
  return clusterView(change, row);
};

export const deleteCluster: ChangeService<typeof clusterOperations.delete> = async (change, { params }) => {
  const row = await findCluster(change, params.cluster);
  checkRevision(change, clusters.kind, row);
  for (const table of [hosts, pools, vms]) {
    const count = await table.count(change.tx, { clusterId: row.id });
    if (count > 0)
      throw new KvasirError('in-use', { kind: clusters.kind, name: row.name, by: `${count} ${table.kind}(s)` });
  }
  await clusters.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', clusters.kind, row);
  return null;
};

/** @throws not-found */
export async function findCluster(call: Call, nameOrId: string = defaultClusterName): Promise<ClusterRow> {
  const row = await clusters.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: clusters.kind, id: nameOrId });
  return row;
}

async function clusterView(call: Call, row: ClusterRow) {
  return (await clusterViews(call, [row]))[0]!;
}

async function clusterViews(call: Call, rows: readonly ClusterRow[]) {
  const policies = await policiesOf(
    call.db,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => {
    const { name, description, placementPolicy, cpuOvercommit, memoryOvercommit, memoryReservedMib } = row;
    return {
      ...versionedView(row),
      name,
      description,
      placementPolicy,
      cpuOvercommit,
      memoryOvercommit,
      memoryReservedMib,
      ha: policies.get(row.id)!,
    };
  });
}

/** For lists: the id that a cluster's name or id means; undefined: no filter. @throws not-found */
export async function clusterFilter(call: Call, nameOrId: string | undefined): Promise<string | undefined> {
  if (nameOrId === undefined) return undefined;
  const row = await clusters.find(call.db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt('/query/cluster', clusters.kind, nameOrId);
  return row.id;
}
