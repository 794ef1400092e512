/** Distributed switches: which hosts they span, and how large frames may be on the wire below. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { switchOperations } from '@kvasir/api/resources/switch.ts';
import { usualMtu } from '@kvasir/control/network/segment.ts';
import { clusters } from '../store/clusters.ts';
import type { Executor } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { type SwitchRow, switches, uplinks } from '../store/switches.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { findCluster } from './clusters.ts';
import { versionedView } from './views.ts';

export const listSwitches: ReadService<typeof switchOperations.list> = async (call, { query }) => {
  const { name, ...paging } = query;
  const page = await switches.list(call.db, { sort: 'name', ...paging, where: { name } });
  return { ...page, items: await Promise.all(page.items.map((row) => switchView(call, row))) };
};

export const getSwitch: ReadService<typeof switchOperations.get> = async (call, { params }) =>
  switchView(call, await findSwitch(call, params.switch));

export const createSwitch: OpenService<typeof switchOperations.create> = nudging(async (change, { body }) => {
  checkName(body.name);
  if (body.hosts !== undefined && body.cluster !== undefined) {
    throw invalidField('/body/hosts', 'excludes cluster: it is one or the other');
  }
  const row: SwitchRow = {
    ...fresh(change),
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    clusterId: body.hosts === undefined ? await clusterOf(change, body.cluster) : null,
    hostIds: await hostsNamed(change.db, body.hosts ?? []),
    defaultBond: body.defaultBond ?? 'active-backup',
    mtu: body.mtu ?? usualMtu,
  };
  await switches.insert(change.tx, row);
  await announceLife(change, 'created', switches.kind, row);
  return switchView(change, row);
});

export const updateSwitch: OpenService<typeof switchOperations.update> = nudging(async (change, { params, body }) => {
  checkName(body.name);
  const row = await findSwitch(change, params.switch);
  checkRevision(change, switches.kind, row);
  const { hosts: named, ...changes } = body;
  const spans = named === undefined ? row : { clusterId: null, hostIds: await hostsNamed(change.db, named) };
  for (const { hostId, name } of await uplinks.select(change.tx, { switchId: row.id })) {
    if (!(await isSpanned(change.db, spans, hostId)))
      throw invalidField('/body/hosts', `leave out the host of uplink ${name}`);
  }
  const { mtu } = body;
  if (mtu !== undefined) {
    const larger = (await networks.select(change.tx, { switchId: row.id })).find((network) => network.mtu > mtu);
    if (larger) throw invalidField('/body/mtu', `is too small for network ${larger.name}, which has ${larger.mtu}`);
  }
  const { clusterId, hostIds } = spans;
  return switchView(change, await updateRow(change, switches, row, { ...changes, clusterId, hostIds }));
});

export const deleteSwitch: OpenService<typeof switchOperations.delete> = nudging(async (change, { params }) => {
  const row = await findSwitch(change, params.switch);
  checkRevision(change, switches.kind, row);
  const count = await networks.count(change.tx, { switchId: row.id });
  if (count > 0) throw new KvasirError('in-use', { kind: switches.kind, name: row.name, by: `${count} network(s)` });
  await uplinks.remove(change.tx, { switchId: row.id });
  await switches.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', switches.kind, row);
  return null;
});

/** @throws not-found */
export async function findSwitch(call: Call, nameOrId: string): Promise<SwitchRow> {
  const row = await switches.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: switches.kind, id: nameOrId });
  return row;
}

export async function isSpanned(
  db: Executor,
  { clusterId, hostIds }: Pick<SwitchRow, 'clusterId' | 'hostIds'>,
  hostId: string,
): Promise<boolean> {
  if (clusterId === null) return hostIds.includes(hostId);
  return (await hosts.find(db, { id: hostId }))?.clusterId === clusterId;
}

async function clusterOf(change: Change, asked: string | undefined): Promise<string> {
  if (asked === undefined) return (await findCluster(change, undefined)).id;
  const row = await clusters.find(change.db, byNameOrId(asked));
  if (!row) throw notFoundAt('/body/cluster', clusters.kind, asked);
  return row.id;
}

async function hostsNamed(db: Executor, asked: readonly string[]): Promise<string[]> {
  const ids = new Set<string>();
  for (const [index, nameOrId] of asked.entries()) {
    const row = await hosts.find(db, byNameOrId(nameOrId));
    if (!row) throw notFoundAt(`/body/hosts/${index}`, hosts.kind, nameOrId);
    ids.add(row.id);
  }
  return [...ids];
}

async function switchView(call: Call, row: SwitchRow) {
  const { name, description, labels, clusterId, hostIds, defaultBond, mtu } = row;
  return {
    ...versionedView(row),
    name,
    description,
    labels: { ...labels },
    clusterId,
    hostIds: [...hostIds],
    defaultBond,
    mtu,
    networks: await networks.count(call.db, { switchId: row.id }),
    uplinks: await uplinks.count(call.db, { switchId: row.id }),
  };
}
