/** Floating addresses: taken from an external network, led to a port whose network a router connects with it. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { familyOf } from '@kvasir/control/network/subnet.ts';
import type { Executor } from '../store/database.ts';
import { networkAddresses, networks, ports } from '../store/networks.ts';
import { type FloatingAddressRow, floatingAddresses } from '../store/routers.ts';
import { vms } from '../store/vms.ts';
import { notFoundAt, ownedRow, projectOf, referredRow } from './access.ts';
import { allocateAddress, checkGivenOut, placeAddress, takeAddress } from './addresses.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announceLife, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { openNetworks } from './networks.ts';
import { checkQuota } from './quota.ts';
import { versionedView } from './views.ts';

export const listFloatingAddresses: ReadService<typeof floatingAddressOperations.list> = async (call, { query }) => {
  const { project, address, ...paging } = query;
  const { id } = await projectOf(call, project);
  const parsed = address === undefined ? undefined : parseAddress(address);
  if (address !== undefined && parsed === undefined) throw invalidField('/query/address', 'is no address');
  const where = { projectId: id, name: parsed && formatAddress(parsed) };
  const page = await floatingAddresses.list(call.db, { sort: 'createdAt', ...paging, where });
  return { ...page, items: await Promise.all(page.items.map((row) => floatingView(call, row))) };
};

export const getFloatingAddress: ReadService<typeof floatingAddressOperations.get> = async (call, { params, query }) =>
  floatingView(call, await ownedRow(call, floatingAddresses, params.floatingAddress, query.project));

export const createFloatingAddress: OpenService<typeof floatingAddressOperations.create> = nudging(
  async (change, { query, body }) => {
    const { tx } = change;
    const project = await projectOf(change, query.project);
    const network = await referredRow(change, networks, body.network, project, '/body/network', openNetworks);
    if (!network.external) throw invalidField('/body/network', 'is not an external network');
    const subnet = network.subnets.find((one) => familyOf(one) === 'ipv4');
    if (subnet === undefined) throw invalidField('/body/network', 'has no IPv4 subnet');
    if (body.address !== undefined) checkGivenOut(change, network, project, body.address, '/body/address');
    await checkQuota(change.tx, project, { floatingAddresses: 1 });
    const base = fresh(change);
    const asked = body.address === undefined ? undefined : placeAddress(network, body.address, '/body/address');
    if (asked && asked.subnet !== subnet) throw invalidField('/body/address', 'is not an IPv4 address');
    if (asked?.address === subnet.gateway) throw invalidField('/body/address', 'is the gateway of its subnet');
    // The row comes first: its address refers to it.
    const row: FloatingAddressRow = {
      ...base,
      name: asked?.address ?? base.id,
      description: body.description ?? '',
      labels: body.labels ?? {},
      projectId: project.id,
      networkId: network.id,
      portId: null,
      fixedAddress: null,
    };
    if (asked && (await networkAddresses.find(tx, { networkId: network.id, address: asked.address }))) {
      throw new KvasirError('name-taken', { kind: 'reservation of the address', name: asked.address }, [
        { path: '/body/address', message: 'is taken' },
      ]);
    }
    await floatingAddresses.insert(tx, row);
    const holder = { floatingAddressId: row.id };
    if (asked) await takeAddress(tx, network.id, asked.address, holder, '/body/address');
    const name = asked?.address ?? (await allocateAddress(tx, network, subnet, '', holder));
    const target = body.port === undefined ? {} : await targetAt(change, { ...row, name }, body.port);
    const now = change.env.clock.now();
    const made = await floatingAddresses.update(tx, row.id, { name, ...target }, { now });
    await announceLife(change, 'created', floatingAddresses.kind, made);
    return floatingView(change, made);
  },
);

export const updateFloatingAddress: OpenService<typeof floatingAddressOperations.update> = nudging(
  async (change, { params, query, body }) => {
    const row = await ownedRow(change, floatingAddresses, params.floatingAddress, query.project);
    const { port, ...changes } = body;
    const nowhere = { portId: null, fixedAddress: null };
    const target = port === undefined ? {} : port === null ? nowhere : await targetAt(change, row, port);
    return floatingView(change, await updateRow(change, floatingAddresses, row, { ...changes, ...target }));
  },
);

export const deleteFloatingAddress: OpenService<typeof floatingAddressOperations.delete> = nudging(
  async (change, { params, query }) => {
    const row = await ownedRow(change, floatingAddresses, params.floatingAddress, query.project);
    checkRevision(change, floatingAddresses.kind, row);
    await floatingAddresses.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', floatingAddresses.kind, row);
    return null;
  },
);

/** The port with its IPv4 address, which a router must connect with the external network. */
async function targetAt(change: Change, row: FloatingAddressRow, portId: string) {
  const { tx } = change;
  const field = '/body/port';
  const port = await ports.find(tx, { id: portId });
  const vm = port && (await vms.get(tx, port.vmId));
  if (!port || vm?.projectId !== row.projectId) throw notFoundAt(field, 'port', portId);
  const held = await networkAddresses.select(tx, { portId });
  const fixed = held.find(({ address }) => !address.includes(':'));
  if (fixed === undefined) throw invalidField(field, 'has no IPv4 address');
  if ((await routerBetween(tx, port.networkId, row.networkId)) === null) {
    throw invalidField(field, 'is on a network that no router connects with the external network');
  }
  const other = await floatingAddresses.find(tx, { portId });
  if (other && other.id !== row.id) {
    throw new KvasirError('in-use', { kind: 'port', name: port.macAddress, by: `floating address ${other.name}` }, [
      { path: field, message: 'has a floating address already' },
    ]);
  }
  return { portId, fixedAddress: fixed.address };
}

async function routerBetween(db: Executor, insideId: string, externalId: string): Promise<string | null> {
  const found = await db
    .selectFrom('routers')
    .innerJoin('routerInterfaces', 'routerInterfaces.routerId', 'routers.id')
    .select('routers.id')
    .where('routers.externalNetworkId', '=', externalId)
    .where('routerInterfaces.networkId', '=', insideId)
    .executeTakeFirst();
  return found?.id ?? null;
}

async function floatingView(call: Call, row: FloatingAddressRow) {
  const { name, description, labels, projectId, networkId, portId } = row;
  const port = portId === null ? undefined : await ports.find(call.db, { id: portId });
  return {
    ...versionedView(row),
    address: name,
    description,
    labels: { ...labels },
    projectId,
    networkId,
    portId,
    fixedAddress: portId === null ? null : row.fixedAddress,
    routerId: port ? await routerBetween(call.db, port.networkId, networkId) : null,
  };
}
