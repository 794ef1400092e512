/** Networks. A shared one is seen by every project, by its name too as long as only one shared network has it. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { networkOperations } from '@kvasir/api/resources/network.ts';
import { sql } from 'kysely';
import { type NetworkRow, networks, plainNetwork } from '../store/networks.ts';
import { ownedRow, projectOf } from './access.ts';
import type { Call, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { versionedView } from './views.ts';

export const openNetworks = { openTo: { shared: true } } as const;

export const listNetworks: ReadService<typeof networkOperations.list> = async (call, { query }) => {
  const { project, name, shared, ...paging } = query;
  const { id } = await projectOf(call, project);
  const matching = [sql<boolean>`(project_id = ${id} or shared = 1)`];
  const page = await networks.list(call.db, { sort: 'name', ...paging, where: { name, shared }, matching });
  return { ...page, items: await networkViews(call, page.items) };
};

export const getNetwork: ReadService<typeof networkOperations.get> = async (call, { params, query }) =>
  networkView(call, await ownedRow(call, networks, params.network, query.project, openNetworks));

export const createNetwork: OpenService<typeof networkOperations.create> = async (call, { query, body }) => {
  const view = await call.change(async (change) => {
    checkName(body.name);
    const project = await projectOf(change, query.project);
    const row: NetworkRow = {
      ...fresh(change),
      name: body.name,
      description: body.description ?? '',
      labels: body.labels ?? {},
      projectId: project.id,
      shared: body.shared ?? false,
      ...plainNetwork,
      mtu: body.mtu ?? 1500,
    };
    await networks.insert(change.tx, row);
    await announceLife(change, 'created', networks.kind, row);
    return networkView(change, row);
  });
  call.env.links.nudge();
  return view;
};

export const updateNetwork: ChangeService<typeof networkOperations.update> = async (
  change,
  { params, query, body },
) => {
  checkName(body.name);
  const row = await ownedRow(change, networks, params.network, query.project);
  return networkView(change, await updateRow(change, networks, row, body));
};

export const deleteNetwork: OpenService<typeof networkOperations.delete> = async (call, { params, query }) => {
  await call.change(async (change) => {
    const row = await ownedRow(change, networks, params.network, query.project);
    checkRevision(change, networks.kind, row);
    const { ports } = await networkView(change, row);
    if (ports > 0) throw new KvasirError('in-use', { kind: networks.kind, name: row.name, by: `${ports} NIC(s)` });
    await networks.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', networks.kind, row);
  });
  call.env.links.nudge();
  return null;
};

async function networkView(call: Call, row: NetworkRow) {
  return (await networkViews(call, [row]))[0]!;
}

async function networkViews(call: Call, rows: readonly NetworkRow[]) {
  const ids = rows.map(({ id }) => id);
  const counted =
    ids.length === 0
      ? []
      : await call.db
          .selectFrom('ports')
          .select(['networkId', sql<number>`count(*)`.as('count')])
          .where('networkId', 'in', ids)
          .groupBy('networkId')
          .execute();
  const ports = new Map(counted.map(({ networkId, count }) => [networkId, Number(count)]));
  return rows.map((row) => {
    const { name, description, labels, projectId, shared, kind, mtu } = row;
    const view = { ...versionedView(row), name, description, labels: { ...labels }, projectId, shared, kind, mtu };
    return { ...view, ports: ports.get(row.id) ?? 0 };
  });
}
