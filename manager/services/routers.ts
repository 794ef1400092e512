/** Routers: which networks they connect, and where they lead out. Which host translates for one is a controller's choice. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { routerOperations } from '@kvasir/api/resources/router.ts';
import { cidrOf, familyOf } from '@kvasir/control/network/subnet.ts';
import { hosts } from '../store/hosts.ts';
import { networkAddresses, type NetworkRow, networks } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import { floatingAddresses, routerInterfaces, type RouterRow, routers } from '../store/routers.ts';
import { actorOf, isOperator, ownedRow, projectOf, referredRow } from './access.ts';
import { allocateAddress, placeAddress, takeAddress } from './addresses.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import {
  announce,
  announceLife,
  checkName,
  checkRevision,
  fresh,
  nudging,
  refuseFields,
  updateRow,
} from './changes.ts';
import { openNetworks } from './networks.ts';
import { checkQuota } from './quota.ts';
import { checkOverlaps } from './router-plan.ts';
import { versionedView } from './views.ts';
import { freeMacAddress } from './vm-nics.ts';

export const listRouters: ReadService<typeof routerOperations.list> = async (call, { query }) => {
  const { project, name, ...paging } = query;
  const { id } = await projectOf(call, project);
  const page = await routers.list(call.db, { sort: 'name', ...paging, where: { name, projectId: id } });
  return { ...page, items: await Promise.all(page.items.map((row) => routerView(call, row))) };
};

export const getRouter: ReadService<typeof routerOperations.get> = async (call, { params, query }) =>
  routerView(call, await ownedRow(call, routers, params.router, query.project));

export const createRouter: OpenService<typeof routerOperations.create> = nudging(async (change, { query, body }) => {
  const project = await projectOf(change, query.project);
  checkName(body.name);
  checkSnat(change, body);
  await checkQuota(change.tx, project, { routers: 1 });
  const row: RouterRow = await routers.insert(change.tx, {
    ...fresh(change),
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    projectId: project.id,
    macAddress: await freeMacAddress(change),
    externalNetworkId: null,
    externalAddress: null,
    externalMacAddress: await freeMacAddress(change),
    snat: body.snat ?? true,
    gatewayHostId: null,
    gatewayEnding: false,
  });
  await announceLife(change, 'created', routers.kind, row);
  if (body.externalNetwork !== undefined) await leadOut(change, project, row, body.externalNetwork);
  return routerView(change, await routers.get(change.tx, row.id));
});

export const updateRouter: OpenService<typeof routerOperations.update> = nudging(
  async (change, { params, query, body }) => {
    checkName(body.name);
    const row = await ownedRow(change, routers, params.router, query.project);
    checkSnat(change, body);
    const { externalNetwork, ...changes } = body;
    const updated = await updateRow(change, routers, row, changes, externalNetwork !== undefined);
    if (externalNetwork !== undefined) {
      await closeOff(change, updated, externalNetwork);
      if (externalNetwork !== null) {
        await leadOut(change, await projectOf(change, row.projectId), updated, externalNetwork);
      }
    }
    return routerView(change, await routers.get(change.tx, row.id));
  },
);

export const deleteRouter: OpenService<typeof routerOperations.delete> = nudging(async (change, { params, query }) => {
  const row = await ownedRow(change, routers, params.router, query.project);
  checkRevision(change, routers.kind, row);
  await refuseFloating(change, row);
  await routers.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', routers.kind, row);
  return null;
});

export const addInterface: OpenService<typeof routerOperations.addInterface> = nudging(
  async (change, { params, query, body }) => {
    const { tx } = change;
    const row = await ownedRow(change, routers, params.router, query.project);
    const project = await projectOf(change, row.projectId);
    const network = await referredRow(change, networks, body.network, project, '/body/network');
    if (network.kind !== 'vxlan')
      throw invalidField('/body/network', 'is no VXLAN network: routers connect only those');
    if (network.subnets.length === 0) throw invalidField('/body/network', 'has no subnet');
    const there = await routerInterfaces.select(tx, { networkId: network.id });
    if (there.some(({ routerId }) => routerId === row.id)) throw invalidField('/body/network', 'is connected already');
    await checkOverlaps(tx, row.id, network, '/body/network');
    for (const { family, address, prefixLength } of interfacesOf(network, body.address)) {
      await takeAddress(tx, network.id, address, { routerId: row.id }, '/body/address');
      await routerInterfaces.insert(tx, { routerId: row.id, networkId: network.id, family, address, prefixLength });
    }
    return routerView(change, await changed(change, row, `connects network ${network.name}`));
  },
);

export const removeInterface: OpenService<typeof routerOperations.removeInterface> = nudging(
  async (change, { params, query }) => {
    const { tx } = change;
    const row = await ownedRow(change, routers, params.router, query.project);
    const project = await projectOf(change, row.projectId);
    const network = await referredRow(change, networks, params.network, project, '/params/network', openNetworks);
    checkRevision(change, routers.kind, row);
    const removed = await routerInterfaces.remove(tx, { routerId: row.id, networkId: network.id });
    if (removed === 0) throw new KvasirError('not-found', { kind: 'router interface', id: params.network });
    const leading = await floatingAddresses.select(tx, { networkId: row.externalNetworkId ?? '' });
    const inside = leading.filter(({ portId }) => portId !== null);
    for (const { portId, name } of inside) {
      const port = await tx.selectFrom('ports').select('networkId').where('id', '=', portId).executeTakeFirst();
      if (port?.networkId === network.id) {
        throw new KvasirError('in-use', { kind: routers.kind, name: row.name, by: `floating address ${name}` });
      }
    }
    await networkAddresses.remove(tx, { networkId: network.id, routerId: row.id });
    await changed(change, row, `does not connect network ${network.name} any more`);
    return null;
  },
);

/** Without translation a tenant would send under any address that it makes a subnet of. @throws forbidden */
function checkSnat(change: Change, body: { readonly snat?: boolean }): void {
  if (body.snat === false) refuseFields(change, body, ['snat']);
}

/** One for each subnet, by its gateway address; or the one of the address asked for. */
function interfacesOf(network: NetworkRow, asked: string | undefined) {
  const placed = asked === undefined ? undefined : placeAddress(network, asked, '/body/address');
  const subnets = placed === undefined ? network.subnets : [placed.subnet];
  return subnets.map((subnet) => {
    const address = placed?.address ?? subnet.gateway;
    if (address === null) throw invalidField('/body/address', `is needed: ${subnet.cidr} has no gateway address`);
    return { family: familyOf(subnet), address, prefixLength: cidrOf(subnet).prefixLength };
  });
}

/** Gives the router an address on the external network. */
async function leadOut(change: Change, project: ProjectRow, row: RouterRow, asked: string): Promise<void> {
  const { tx } = change;
  const field = '/body/externalNetwork';
  const network = await referredRow(change, networks, asked, project, field, openNetworks);
  if (row.externalNetworkId === network.id) return;
  if (!network.external) throw invalidField(field, 'is not an external network');
  const subnet = network.subnets.find((one) => familyOf(one) === 'ipv4');
  if (subnet === undefined) throw invalidField(field, 'has no IPv4 subnet');
  await checkOverlaps(tx, row.id, network, field);
  const address = await allocateAddress(tx, network, subnet, row.externalMacAddress, { routerId: row.id });
  const now = change.env.clock.now();
  await routers.update(tx, row.id, { externalNetworkId: network.id, externalAddress: address }, { now });
}

/** Takes the way out away, unless it is the one that is asked for. */
async function closeOff(change: Change, row: RouterRow, asked: string | null): Promise<void> {
  const { externalNetworkId } = row;
  if (externalNetworkId === null) return;
  const network = await networks.get(change.tx, externalNetworkId);
  if (asked === network.id || asked === network.name) return;
  await refuseFloating(change, row);
  await networkAddresses.remove(change.tx, { networkId: network.id, routerId: row.id });
  const none = { externalNetworkId: null, externalAddress: null, gatewayHostId: null, gatewayEnding: false };
  await routers.update(change.tx, row.id, none, { now: change.env.clock.now() });
}

/** Floating addresses that lead to networks of this router need it. @throws in-use */
async function refuseFloating(change: Change, row: RouterRow): Promise<void> {
  if (row.externalNetworkId === null) return;
  const used = await change.tx
    .selectFrom('floatingAddresses')
    .innerJoin('ports', 'ports.id', 'floatingAddresses.portId')
    .innerJoin('routerInterfaces', 'routerInterfaces.networkId', 'ports.networkId')
    .select('floatingAddresses.name')
    .where('routerInterfaces.routerId', '=', row.id)
    .where('floatingAddresses.networkId', '=', row.externalNetworkId)
    .executeTakeFirst();
  if (used)
    throw new KvasirError('in-use', { kind: routers.kind, name: row.name, by: `floating address ${used.name}` });
}

async function changed(change: Change, row: RouterRow, what: string): Promise<RouterRow> {
  await announce(change, {
    kind: 'router.interfaces-changed',
    message: `router ${row.name} ${what}`,
    target: { kind: 'router', id: row.id, name: row.name },
    projectId: row.projectId,
  });
  return await routers.update(change.tx, row.id, {}, { now: change.env.clock.now() });
}

async function routerView(call: Call, row: RouterRow) {
  const interfaces = await routerInterfaces.select(call.db, { routerId: row.id }, 'networkId');
  const ids = interfaces.map(({ networkId }) => networkId);
  const names = new Map((await networks.select(call.db, { id: ids })).map(({ id, name }) => [id, name]));
  const seesHosts = isOperator(actorOf(call)) && row.gatewayHostId !== null;
  const host = seesHosts ? await hosts.find(call.db, { id: row.gatewayHostId }) : undefined;
  const { name, description, labels, projectId, macAddress, externalNetworkId, externalAddress, snat } = row;
  return {
    ...versionedView(row),
    name,
    description,
    labels: { ...labels },
    projectId,
    macAddress,
    interfaces: interfaces.map(({ networkId, family, address, prefixLength }) => ({
      networkId,
      networkName: names.get(networkId) ?? '',
      family,
      address,
      prefixLength,
    })),
    externalNetworkId,
    externalAddress,
    snat,
    gatewayHostName: host?.name ?? null,
    ready: externalNetworkId === null || (row.gatewayHostId !== null && !row.gatewayEnding),
  };
}
