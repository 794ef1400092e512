/**
 * Networks. A shared one is seen by every project, by its name too as long as only one shared network has it. Tenants make
 * VXLAN networks; what touches the physical network, or everybody, is for operators.
 */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { networkOperations } from '@kvasir/api/resources/network.ts';
import { parseAddress } from '@kvasir/control/network/address.ts';
import { cidrOf, familyOf, isUsable, type Subnet } from '@kvasir/control/network/subnet.ts';
import { sql } from 'kysely';
import { networkAddresses, type NetworkRow, networks, subPorts } from '../store/networks.ts';
import { mirrors } from '../store/port-policies.ts';
import { floatingAddresses, routerInterfaces, routers } from '../store/routers.ts';
import { ownedRow, projectOf } from './access.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, nudging, refuseFields, updateRow } from './changes.ts';
import { planMtu, planSegment, planSubnets, planVteps } from './network-plan.ts';
import { checkQuota } from './quota.ts';
import { checkRouted } from './router-plan.ts';
import { versionedView } from './views.ts';

export const openNetworks = { openTo: { shared: true } } as const;
/** Fields that reach beyond the project. */
const operators = ['segment', 'switch', 'shared', 'external', 'externalVteps'];

export const listNetworks: ReadService<typeof networkOperations.list> = async (call, { query }) => {
  const { project, name, shared, kind, external, ...paging } = query;
  const { id } = await projectOf(call, project);
  const matching = [sql<boolean>`(project_id = ${id} or shared = 1)`];
  const where = { name, shared, kind, external };
  const page = await networks.list(call.db, { sort: 'name', ...paging, where, matching });
  return { ...page, items: await networkViews(call, page.items) };
};

export const getNetwork: ReadService<typeof networkOperations.get> = async (call, { params, query }) =>
  networkView(call, await ownedRow(call, networks, params.network, query.project, openNetworks));

export const createNetwork: OpenService<typeof networkOperations.create> = nudging(async (change, { query, body }) => {
  const project = await projectOf(change, query.project);
  checkName(body.name);
  refuseFields(change, body, body.kind === undefined || body.kind === 'vxlan' ? operators : ['kind']);
  const segment = await planSegment(change, body);
  const mtu = await planMtu(change.db, segment, body.mtu);
  const external = body.external ?? false;
  if (external && segment.kind === 'vxlan') throw invalidField('/body/external', 'is for flat and VLAN networks');
  await checkQuota(change.tx, project, { networks: 1 });
  const row: NetworkRow = {
    ...fresh(change),
    ...segment,
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    projectId: project.id,
    shared: body.shared ?? false,
    mtu,
    domain: body.domain ?? null,
    external,
    portSecurity: body.portSecurity ?? (segment.kind !== 'flat' || segment.switchId !== null),
    subnets: planSubnets(body.subnets ?? [], mtu),
    externalVteps: planVteps(segment.kind, body.externalVteps ?? []),
  };
  await networks.insert(change.tx, row);
  await announceLife(change, 'created', networks.kind, row);
  return networkView(change, row);
});

export const updateNetwork: OpenService<typeof networkOperations.update> = nudging(
  async (change, { params, query, body }) => {
    checkName(body.name);
    const row = await ownedRow(change, networks, params.network, query.project);
    checkRevision(change, networks.kind, row);
    refuseFields(change, body, row.kind === 'vxlan' ? operators : [...operators, 'mtu']);
    const { subnets: asked, externalVteps, ...changes } = body;
    const mtu = body.mtu === undefined ? row.mtu : await planMtu(change.db, row, body.mtu);
    const subnets = asked === undefined ? row.subnets : planSubnets(asked, mtu);
    if (asked !== undefined) await checkSubnetChange(change, row, subnets);
    if (body.external === true && row.kind === 'vxlan')
      throw invalidField('/body/external', 'is for flat and VLAN networks');
    if (body.external === false && row.external) await refuseUse(change, row, outsideUses);
    const updated = await updateRow(change, networks, row, {
      ...changes,
      subnets,
      ...(externalVteps === undefined ? {} : { externalVteps: planVteps(row.kind, externalVteps) }),
    });
    return networkView(change, updated);
  },
);

export const deleteNetwork: OpenService<typeof networkOperations.delete> = nudging(
  async (change, { params, query }) => {
    const row = await ownedRow(change, networks, params.network, query.project);
    checkRevision(change, networks.kind, row);
    const { ports } = await networkView(change, row);
    if (ports > 0) throw inUse(row, `${ports} NIC(s)`);
    await refuseUse(change, row, [...insideUses, ...outsideUses]);
    await networks.remove(change.tx, { id: row.id });
    await announceLife(change, 'deleted', networks.kind, row);
    return null;
  },
);

interface Use {
  readonly what: string;
  count(change: Change, networkId: string): Promise<number>;
}

const outsideUses: readonly Use[] = [
  { what: 'router gateway(s)', count: ({ tx }, id) => routers.count(tx, { externalNetworkId: id }) },
  { what: 'floating address(es)', count: ({ tx }, id) => floatingAddresses.count(tx, { networkId: id }) },
];
const insideUses: readonly Use[] = [
  { what: 'sub-port(s)', count: ({ tx }, id) => subPorts.count(tx, { networkId: id }) },
  { what: 'router(s)', count: ({ tx }, id) => routerInterfaces.count(tx, { networkId: id }) },
  { what: 'mirror(s)', count: ({ tx }, id) => mirrors.count(tx, { sourceNetworkId: id }) },
];

async function refuseUse(change: Change, row: NetworkRow, uses: readonly Use[]): Promise<void> {
  for (const { what, count } of uses) {
    const found = await count(change, row.id);
    if (found > 0) throw inUse(row, `${found} ${what}`);
  }
}

function inUse(row: NetworkRow, by: string): KvasirError {
  return new KvasirError('in-use', { kind: networks.kind, name: row.name, by });
}

/** Whoever has an address keeps it, so it must lie in the new subnets too; so must what routers rely on. */
async function checkSubnetChange(change: Change, row: NetworkRow, subnets: readonly Subnet[]): Promise<void> {
  for (const { address } of await networkAddresses.select(change.tx, { networkId: row.id })) {
    const parsed = parseAddress(address);
    const fits = parsed && subnets.some((one) => familyOf(one) === parsed.family && isUsable(cidrOf(one), parsed));
    if (!fits) throw invalidField('/body/subnets', `leave out ${address}, which is in use`);
  }
  await checkRouted(change.tx, { ...row, subnets }, '/body/subnets');
}

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
    const { name, description, labels, projectId, shared, kind, segment, switchId, mtu, domain, external } = row;
    return {
      ...versionedView(row),
      name,
      description,
      labels: { ...labels },
      projectId,
      shared,
      kind,
      segment: kind === 'flat' ? null : segment,
      switchId,
      mtu,
      domain,
      external,
      portSecurity: row.portSecurity,
      subnets: row.subnets.map((subnet) => ({ ...subnet, dnsServers: [...subnet.dnsServers] })),
      externalVteps: [...row.externalVteps],
      ports: ports.get(row.id) ?? 0,
    };
  });
}
