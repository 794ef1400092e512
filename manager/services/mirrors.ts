/** Mirrors: operators copy traffic of any project, so nobody else makes or sees them. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { mirrorOperations } from '@kvasir/api/resources/mirror.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { networks, ports } from '../store/networks.ts';
import { type MirrorRow, mirrors } from '../store/port-policies.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { versionedView } from './views.ts';

export const listMirrors: ReadService<typeof mirrorOperations.list> = async (call, { query }) => {
  const { name, ...paging } = query;
  const page = await mirrors.list(call.db, { sort: 'name', ...paging, where: { name } });
  return { ...page, items: page.items.map(mirrorView) };
};

export const getMirror: ReadService<typeof mirrorOperations.get> = async (call, { params }) =>
  mirrorView(await findMirror(call, params.mirror));

export const createMirror: OpenService<typeof mirrorOperations.create> = nudging(async (change, { body }) => {
  checkName(body.name);
  const sources = await sourcesOf(change, body.sourceNetwork, body.sourcePorts);
  const target = await targetOf(change, body);
  const { targetPortId } = target;
  if (targetPortId !== null) await refuseOwnSource(change, sources, targetPortId);
  const row: MirrorRow = {
    ...fresh(change),
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    ...sources,
    direction: body.direction ?? 'both',
    ...target,
  };
  await mirrors.insert(change.tx, row);
  await announceLife(change, 'created', mirrors.kind, row);
  return mirrorView(row);
});

export const updateMirror: OpenService<typeof mirrorOperations.update> = nudging(async (change, { params, body }) => {
  checkName(body.name);
  return mirrorView(await updateRow(change, mirrors, await findMirror(change, params.mirror), body));
});

export const deleteMirror: OpenService<typeof mirrorOperations.delete> = nudging(async (change, { params }) => {
  const row = await findMirror(change, params.mirror);
  checkRevision(change, mirrors.kind, row);
  await mirrors.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', mirrors.kind, row);
  return null;
});

type Sources = Pick<MirrorRow, 'sourceNetworkId' | 'sourcePortIds'>;

async function sourcesOf(
  change: Change,
  networkId: string | undefined,
  portIds: readonly string[] | undefined,
): Promise<Sources> {
  if (networkId !== undefined) {
    if (portIds !== undefined) throw invalidField('/body/sourcePorts', 'exclude sourceNetwork: it is one or the other');
    if (!(await networks.find(change.tx, { id: networkId }))) {
      throw notFoundAt('/body/sourceNetwork', networks.kind, networkId);
    }
    return { sourceNetworkId: networkId, sourcePortIds: [] };
  }
  if (portIds === undefined || portIds.length === 0) {
    throw invalidField('/body/sourcePorts', 'or sourceNetwork is needed: there is nothing to copy');
  }
  for (const [index, id] of portIds.entries()) {
    if (!(await ports.find(change.tx, { id }))) throw notFoundAt(`/body/sourcePorts/${index}`, 'port', id);
  }
  return { sourceNetworkId: null, sourcePortIds: portIds };
}

interface AskedTarget {
  readonly targetPort?: string;
  readonly targetKind?: 'gre' | 'erspan';
  readonly targetAddress?: string;
  readonly targetKey?: number;
}

async function targetOf(change: Change, asked: AskedTarget) {
  const { targetPort, targetKind, targetAddress, targetKey } = asked;
  if (targetPort !== undefined) {
    for (const field of ['targetKind', 'targetAddress', 'targetKey'] as const) {
      if (asked[field] !== undefined)
        throw invalidField(`/body/${field}`, 'excludes targetPort: it is one or the other');
    }
    if (!(await ports.find(change.tx, { id: targetPort }))) throw notFoundAt('/body/targetPort', 'port', targetPort);
    return { targetPortId: targetPort, targetKind: null, targetAddress: null, targetKey: null };
  }
  if (targetKind === undefined)
    throw invalidField('/body/targetPort', 'or targetKind is needed: copies must go somewhere');
  const parsed = targetAddress === undefined ? undefined : parseAddress(targetAddress);
  if (parsed === undefined) throw invalidField('/body/targetAddress', 'is needed: the address of the collector');
  const address = formatAddress(parsed);
  return { targetPortId: null, targetKind, targetAddress: address, targetKey: targetKey ?? 0 };
}

/** Copies that are copied again would fill the wire. */
async function refuseOwnSource(
  change: Change,
  { sourceNetworkId, sourcePortIds }: Sources,
  portId: string,
): Promise<void> {
  const target = await ports.get(change.tx, portId);
  if (sourcePortIds.includes(portId) || target.networkId === sourceNetworkId) {
    throw invalidField('/body/targetPort', 'is one of the sources itself');
  }
  for (const other of await mirrors.select(change.tx)) {
    const copies = other.sourcePortIds.includes(portId) || other.sourceNetworkId === target.networkId;
    if (copies && other.targetPortId !== null && sourcePortIds.includes(other.targetPortId)) {
      throw invalidField('/body/targetPort', `is copied back to a source by mirror ${other.name}`);
    }
  }
}

async function findMirror(call: Call, nameOrId: string): Promise<MirrorRow> {
  const row = await mirrors.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: mirrors.kind, id: nameOrId });
  return row;
}

function mirrorView(row: MirrorRow) {
  const { name, description, labels, sourceNetworkId, sourcePortIds, direction } = row;
  const { targetPortId, targetKind, targetAddress, targetKey } = row;
  const sources = { sourceNetworkId, sourcePortIds: [...sourcePortIds], direction };
  const target = { targetPortId, targetKind, targetAddress, targetKey };
  return { ...versionedView(row), name, description, labels: { ...labels }, ...sources, ...target };
}
