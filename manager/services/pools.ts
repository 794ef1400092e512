/** Storage pools. Hosts report how they reach them; a tenant sees the pools without hosts and paths. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { poolOperations } from '@kvasir/api/resources/pool.ts';
import { sql } from 'kysely';
import type { Tx } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { countOnlyCopies, imageCopies } from '../store/images.ts';
import { poolHosts, type PoolHostRow, type PoolRow, pools } from '../store/pools.ts';
import { openTaskStates, tasks } from '../store/tasks.ts';
import { uploads } from '../store/uploads.ts';
import { volumes } from '../store/volumes.ts';
import { actorOf, byNameOrId, isOperator } from './access.ts';
import type { Call, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { clusterFilter, findCluster } from './clusters.ts';
import { versionedView } from './views.ts';

export const listPools: ReadService<typeof poolOperations.list> = async (call, { query }) => {
  const { name, cluster, ...paging } = query;
  const where = { name, clusterId: await clusterFilter(call, cluster) };
  const page = await pools.list(call.db, { sort: 'name', ...paging, where });
  return { ...page, items: await poolViews(call, page.items) };
};

export const getPool: ReadService<typeof poolOperations.get> = async (call, { params }) =>
  poolView(call, await findPool(call, params.pool));

export const createPool: OpenService<typeof poolOperations.create> = async (call, { body }) => {
  const view = await call.change(async (change) => {
    checkName(body.name);
    const cluster = await findCluster(change, body.cluster);
    if (body.path.split('/').includes('..')) throw invalidField('/body/path', 'must not climb with ..');
    const path = body.path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
    const same = await pools.find(change.tx, { clusterId: cluster.id, path });
    if (same) throw invalidField('/body/path', `is the path of pool ${same.name} already`);
    const row: PoolRow = {
      ...fresh(change),
      name: body.name,
      description: body.description ?? '',
      clusterId: cluster.id,
      kind: 'directory',
      path,
      shared: body.shared,
    };
    await pools.insert(change.tx, row);
    await announceLife(change, 'created', pools.kind, row);
    return poolView(change, row);
  });
  call.env.links.nudge();
  return view;
};

export const updatePool: ChangeService<typeof poolOperations.update> = async (change, { params, body }) => {
  checkName(body.name);
  return poolView(change, await updateRow(change, pools, await findPool(change, params.pool), body));
};

export const deletePool: OpenService<typeof poolOperations.delete> = async (call, { params }) => {
  await call.change(async (change) => {
    const row = await findPool(change, params.pool);
    checkRevision(change, pools.kind, row);
    const uses = [
      { what: 'volume(s)', count: await volumes.count(change.tx, { poolId: row.id }) },
      { what: 'image(s) that lie nowhere else', count: await countOnlyCopies(change.tx, { poolId: row.id }) },
      { what: 'upload(s) on their way there', count: await uploads.count(change.tx, { poolId: row.id }) },
      { what: 'task(s) that work there', count: await countTasksOn(change.tx, row.id) },
    ];
    const use = uses.find(({ count }) => count > 0);
    if (use) throw new KvasirError('in-use', { kind: pools.kind, name: row.name, by: `${use.count} ${use.what}` });
    await imageCopies.remove(change.tx, { poolId: row.id });
    await pools.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', pools.kind, row);
  });
  call.env.links.nudge();
  return null;
};

/** Images that come or go: without the pool neither could end, nor be taken back. */
async function countTasksOn(tx: Tx, poolId: string): Promise<number> {
  return await tasks.count(tx, { state: openTaskStates }, [sql<boolean>`params like ${`%"${poolId}"%`}`]);
}

/** @throws not-found */
export async function findPool(call: Call, nameOrId: string): Promise<PoolRow> {
  const row = await pools.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: pools.kind, id: nameOrId });
  return row;
}

async function poolView(call: Call, row: PoolRow) {
  return (await poolViews(call, [row]))[0]!;
}

async function poolViews(call: Call, rows: readonly PoolRow[]) {
  const seesHosts = isOperator(actorOf(call));
  const up = await hosts.select(call.db, { state: 'up', clusterId: rows.map(({ clusterId }) => clusterId) });
  const reports = await poolHosts.select(call.db, { poolId: rows.map(({ id }) => id) });
  return rows.map((row) => {
    const upIds = new Set(up.filter((host) => host.clusterId === row.clusterId).map(({ id }) => id));
    const own = reports.filter(({ poolId }) => poolId === row.id);
    const reached = own.filter(({ reachable, hostId }) => reachable && upIds.has(hostId));
    const { name, description, clusterId, kind, path, shared } = row;
    return {
      ...versionedView(row),
      name,
      description,
      clusterId,
      kind,
      path: seesHosts ? path : '',
      shared,
      state:
        reached.length === 0
          ? ('unavailable' as const)
          : reached.length < upIds.size
            ? ('degraded' as const)
            : ('ready' as const),
      totalMib: space(row, reached, 'totalMib'),
      freeMib: space(row, reached, 'freeMib'),
      hosts: seesHosts ? own.map(hostView) : [],
    };
  });
}

/** Of a shared pool what the latest report says; local ones add up. */
function space(row: PoolRow, reached: readonly PoolHostRow[], field: 'totalMib' | 'freeMib'): number | null {
  const known = reached.filter((report) => report[field] !== null);
  if (known.length === 0) return null;
  if (!row.shared) return known.reduce((sum, report) => sum + (report[field] ?? 0), 0);
  return known.reduce((latest, report) => (report.updatedAt > latest.updatedAt ? report : latest))[field];
}

function hostView({ hostId, reachable, reason, totalMib, freeMib }: PoolHostRow) {
  return { hostId, reachable, reason, totalMib, freeMib };
}
