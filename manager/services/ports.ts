/** Ports: what is said of the NICs of a project's VMs on their networks. A change is in force as soon as the hosts have heard. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { Port, portOperations } from '@kvasir/api/resources/port.ts';
import { sql } from 'kysely';
import { networkAddresses, type NetworkRow, networks, type PortRow, ports, subPorts } from '../store/networks.ts';
import { qosPolicies } from '../store/port-policies.ts';
import type { ProjectRow } from '../store/projects.ts';
import { floatingAddresses } from '../store/routers.ts';
import { portSecurityGroups, securityGroups } from '../store/security-groups.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { familyOf } from '@kvasir/control/network/subnet.ts';
import { actorOf, isId, ownerOf, projectOf, referredRow } from './access.ts';
import { allocateAddress, checkAddresses, takeAddress } from './addresses.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announce, checkRevision, fresh, nudging, refuseFields } from './changes.ts';
import { openNetworks } from './networks.ts';
import { byFamily, policyOf } from './port-policy.ts';
import { checkQuota } from './quota.ts';
import { defaultGroup, namedGroups } from './security-groups.ts';
import { versionedView } from './views.ts';
import { freeMacAddress } from './vm-nics.ts';

const kind = 'port';
const mostSubPorts = 64;

export const listPorts: ReadService<typeof portOperations.list> = async (call, { query }) => {
  const { project: asked, vm, network, securityGroup, macAddress, address, ...paging } = query;
  const project = await projectOf(call, asked);
  const within = [sql<boolean>`vm_id in (select id from vms where project_id = ${project.id})`];
  const reach = { named: { trashedAt: null } };
  if (vm !== undefined) {
    const { id } = await referredRow(call, vms, vm, project, '/query/vm', reach);
    within.push(sql<boolean>`vm_id = ${id}`);
  }
  if (network !== undefined) {
    const { id } = await referredRow(call, networks, network, project, '/query/network', openNetworks);
    within.push(sql<boolean>`network_id = ${id}`);
  }
  if (securityGroup !== undefined) {
    const { id } = await referredRow(call, securityGroups, securityGroup, project, '/query/securityGroup');
    within.push(sql<boolean>`id in (select port_id from port_security_groups where group_id = ${id})`);
  }
  if (address !== undefined) {
    const parsed = parseAddress(address);
    if (parsed === undefined) throw invalidField('/query/address', 'is no address');
    within.push(sql<boolean>`id in (select port_id from network_addresses where address = ${formatAddress(parsed)})`);
  }
  const page = await ports.list(call.db, { sort: 'createdAt', ...paging, where: { macAddress }, matching: within });
  return { ...page, items: await portViews(call, page.items) };
};

export const getPort: ReadService<typeof portOperations.get> = async (call, { params, query }) =>
  portView(call, (await findPort(call, params.port, query.project)).port);

export const updatePort: OpenService<typeof portOperations.update> = nudging(
  async (change, { params, query, body }) => {
    const { port, vm, project } = await findPort(change, params.port, query.project);
    checkRevision(change, kind, port);
    refuseFields(change, body, ['qosPolicy']);
    const network = await networks.get(change.tx, port.networkId);
    const strict = {
      antiSpoofing: body.antiSpoofing === false,
      portSecurity: body.portSecurity === false,
      // Without an address there is nothing that its sender could be held against.
      addresses: body.addresses?.length === 0 && network.subnets.length > 0,
    };
    const opened = (Object.keys(strict) as (keyof typeof strict)[]).filter((field) => strict[field]);
    // Whose network it is decides whether its ports may be less strict than it says; a trunk is on several.
    if (!(await isOnOwnNetworks(change, port, project)))
      refuseFields(change, Object.fromEntries(opened.map((f) => [f, true])), opened);
    if (body.addresses !== undefined) await changeAddresses(change, port, network, body.addresses);
    const portSecurity = await changeGroups(change, port, project, body);
    const updated = await ports.update(
      change.tx,
      port.id,
      {
        ...(body.antiSpoofing === undefined ? {} : { antiSpoofing: body.antiSpoofing }),
        ...(body.connected === undefined ? {} : { connected: body.connected }),
        ...(body.qosPolicy === undefined ? {} : { qosPolicyId: await qosPolicyId(change, project, body.qosPolicy) }),
        portSecurity,
      },
      { now: change.env.clock.now(), revision: port.revision },
    );
    await announcePort(change, port, vm, 'was changed');
    return portView(change, updated);
  },
);

export const addSubPort: OpenService<typeof portOperations.addSubPort> = nudging(
  async (change, { params, query, body }) => {
    const { tx } = change;
    const { port, vm, project } = await findPort(change, params.port, query.project);
    if (port.vnicType === 'direct') {
      throw new KvasirError('unsupported', { reason: 'A port on a virtual function carries one network alone' });
    }
    const network = await referredRow(change, networks, body.network, project, '/body/network', openNetworks);
    if (network.id === port.networkId) throw invalidField('/body/network', 'is the network of the port itself');
    const isLoose = !port.antiSpoofing || !port.portSecurity;
    if (isLoose && network.portSecurity && network.projectId !== project.id && actorOf(change).systemRole !== 'admin')
      throw invalidField(
        '/body/network',
        'is not of this project, and needs a port with antiSpoofing and portSecurity',
      );
    const there = await subPorts.select(tx, { portId: port.id });
    if (there.length >= mostSubPorts) {
      throw new KvasirError('unsupported', { reason: `A port has ${mostSubPorts} VLANs at most` });
    }
    if (there.some(({ vlanId }) => vlanId === body.vlanId))
      throw taken('/body/vlanId', 'sub-port with the VLAN', String(body.vlanId));
    if (there.some(({ networkId }) => networkId === network.id))
      throw invalidField('/body/network', 'is on this trunk already');
    await checkQuota(tx, project, { ports: 1 });
    const row = await subPorts.insert(tx, {
      ...fresh(change),
      portId: port.id,
      networkId: network.id,
      vlanId: body.vlanId,
      macAddress: await freeMacAddress(change),
    });
    const asked = checkAddresses(network, body.address === undefined ? [] : [body.address], '/body/address');
    for (const address of asked) await takeAddress(tx, network.id, address, { subPortId: row.id }, '/body/address');
    for (const subnet of network.subnets) {
      if (asked.some((address) => address.includes(':') === (familyOf(subnet) === 'ipv6'))) continue;
      await allocateAddress(tx, network, subnet, row.macAddress, { subPortId: row.id });
    }
    await announcePort(change, port, vm, `carries VLAN ${body.vlanId} of network ${network.name}`);
    return portView(change, await ports.update(tx, port.id, {}, { now: change.env.clock.now() }));
  },
);

export const removeSubPort: OpenService<typeof portOperations.removeSubPort> = nudging(
  async (change, { params, query }) => {
    const { port, vm } = await findPort(change, params.port, query.project);
    const row = await subPorts.find(change.tx, { id: params.subPort, portId: port.id });
    if (row === undefined) throw new KvasirError('not-found', { kind: subPorts.kind, id: params.subPort });
    checkRevision(change, subPorts.kind, row);
    await subPorts.remove(change.tx, { id: row.id });
    await ports.update(change.tx, port.id, {}, { now: change.env.clock.now() });
    await announcePort(change, port, vm, `does not carry VLAN ${row.vlanId} any more`);
    return null;
  },
);

/** What the port's host counts now. */
export const portCounters: OpenService<typeof portOperations.counters> = async (call, { params, query }) => {
  const { port, vm } = await findPort(call, params.port, query.project);
  if (vm.hostId === null) {
    throw new KvasirError('wrong-state', { action: 'count at', kind, name: port.macAddress, state: 'on no host' });
  }
  const counters = await call.env.links.portCounters(vm.hostId, port.id);
  const groups = await groupNamesOfRules(
    call,
    counters.rules.map(({ ruleId }) => ruleId),
  );
  const { fromVm, toVm, drops } = counters;
  const rules = counters.rules.map((rule) => ({ ...rule, securityGroupName: groups.get(rule.ruleId) ?? null }));
  return { portId: port.id, fromVm, toVm, rules, drops };
};

/** A port of a VM that the actor may see, with the operation's role. @throws not-found, forbidden */
export async function findPort(call: Call, id: string, project: string | undefined): Promise<OwnedPort> {
  const port = isId(id) ? await ports.find(call.db, { id }) : undefined;
  const vm = port && (await vms.get(call.db, port.vmId));
  const owner = await ownerOf(call, kind, id, vm?.projectId, project);
  return { port: port!, vm: vm!, project: owner };
}

export interface OwnedPort {
  readonly port: PortRow;
  readonly vm: VmRow;
  readonly project: ProjectRow;
}

/** @param projectId only of groups of this project */
export async function groupNamesOfRules(
  call: Call,
  ruleIds: readonly string[],
  projectId?: string,
): Promise<Map<string, string>> {
  if (ruleIds.length === 0) return new Map();
  const query = call.db
    .selectFrom('securityGroupRules')
    .innerJoin('securityGroups', 'securityGroups.id', 'securityGroupRules.groupId')
    .select(['securityGroupRules.id', 'securityGroups.name'])
    .where('securityGroupRules.id', 'in', [...ruleIds]);
  const rows = await (projectId ? query.where('securityGroups.projectId', '=', projectId) : query).execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

async function isOnOwnNetworks({ tx }: Change, port: PortRow, project: ProjectRow): Promise<boolean> {
  const carried = await subPorts.select(tx, { portId: port.id });
  const ids = [port.networkId, ...carried.map(({ networkId }) => networkId)];
  return (await networks.select(tx, { id: ids })).every(({ projectId }) => projectId === project.id);
}

async function changeAddresses(
  change: Change,
  port: PortRow,
  network: NetworkRow,
  asked: readonly string[],
): Promise<void> {
  const wanted = checkAddresses(network, asked, '/body/addresses');
  const held = (await networkAddresses.select(change.tx, { portId: port.id })).map(({ address }) => address);
  const given = held.filter((address) => !wanted.includes(address));
  // It would lead to whoever gets the address next.
  const led = await floatingAddresses.find(change.tx, { portId: port.id });
  if (led?.fixedAddress != null && given.includes(led.fixedAddress)) {
    throw new KvasirError('in-use', { kind: 'address', name: led.fixedAddress, by: `floating address ${led.name}` }, [
      { path: '/body/addresses', message: `leave out ${led.fixedAddress}` },
    ]);
  }
  if (given.length > 0) await networkAddresses.remove(change.tx, { portId: port.id, address: given });
  for (const [index, address] of wanted.entries()) {
    if (held.includes(address)) continue;
    await takeAddress(change.tx, network.id, address, { portId: port.id }, `/body/addresses/${index}`);
  }
}

/** Answers whether groups apply from now on. */
async function changeGroups(
  change: Change,
  port: PortRow,
  project: ProjectRow,
  body: { readonly securityGroups?: readonly string[]; readonly portSecurity?: boolean },
): Promise<boolean> {
  const { tx } = change;
  if (body.portSecurity === false) {
    if ((body.securityGroups?.length ?? 0) > 0) throw invalidField('/body/securityGroups', 'need portSecurity');
    await portSecurityGroups.remove(tx, { portId: port.id });
    return false;
  }
  const begins = body.portSecurity === true && !port.portSecurity;
  if (port.vnicType === 'direct' && (begins || body.securityGroups !== undefined)) {
    const field = begins ? '/body/portSecurity' : '/body/securityGroups';
    throw invalidField(field, 'virtual functions know no security groups');
  }
  if (body.securityGroups === undefined && !begins) return port.portSecurity;
  const groups =
    body.securityGroups === undefined
      ? [await defaultGroup(change, project)]
      : await namedGroups(change, project, body.securityGroups, '/body/securityGroups');
  await portSecurityGroups.remove(tx, { portId: port.id });
  for (const { id } of groups) await portSecurityGroups.insert(tx, { portId: port.id, groupId: id });
  return true;
}

async function qosPolicyId(change: Change, project: ProjectRow, asked: string | null): Promise<string | null> {
  if (asked === null) return null;
  return (await referredRow(change, qosPolicies, asked, project, '/body/qosPolicy', { openTo: { shared: true } })).id;
}

async function announcePort(change: Change, port: PortRow, vm: VmRow, what: string): Promise<void> {
  await announce(change, {
    kind: `port.${change.op.verb === 'update' ? 'updated' : 'trunk-changed'}`,
    message: `port ${port.macAddress} of VM ${vm.name} ${what}`,
    target: { kind, id: port.id, name: port.macAddress },
    projectId: vm.projectId,
  });
}

function taken(path: string, what: string, name: string): KvasirError {
  return new KvasirError('name-taken', { kind: what, name }, [{ path, message: 'is taken' }]);
}

async function portView(call: Call, row: PortRow): Promise<Port> {
  return (await portViews(call, [row]))[0]!;
}

async function portViews(call: Call, rows: readonly PortRow[]): Promise<Port[]> {
  actorOf(call);
  const { db } = call;
  const ids = rows.map(({ id }) => id);
  const policy = await policyOf(db, ids);
  const subs = await subPorts.select(db, { portId: ids }, 'vlanId');
  const subAddresses = Map.groupBy(
    await networkAddresses.select(db, { subPortId: subs.map(({ id }) => id) }),
    ({ subPortId }) => subPortId,
  );
  const networkIds = [...new Set([...rows, ...subs].map(({ networkId }) => networkId))];
  const networkNames = new Map((await networks.select(db, { id: networkIds })).map(({ id, name }) => [id, name]));
  const vmOf = new Map((await vms.select(db, { id: rows.map(({ vmId }) => vmId) })).map((vm) => [vm.id, vm]));
  const networkName = (id: string): string => networkNames.get(id) ?? '';
  return rows.map((row) => ({
    ...versionedView(row),
    projectId: vmOf.get(row.vmId)!.projectId,
    vmId: row.vmId,
    vmName: vmOf.get(row.vmId)!.name,
    networkId: row.networkId,
    networkName: networkName(row.networkId),
    macAddress: row.macAddress,
    connected: row.connected,
    antiSpoofing: row.antiSpoofing,
    portSecurity: row.portSecurity,
    qosPolicyId: row.qosPolicyId,
    vnicType: row.vnicType,
    ...policy(row.id),
    subPorts: subs
      .filter(({ portId }) => portId === row.id)
      .map(({ id, vlanId, networkId, macAddress }) => ({
        id,
        vlanId,
        networkId,
        networkName: networkName(networkId),
        macAddress,
        addresses: (subAddresses.get(id) ?? []).map(({ address }) => address).sort(byFamily),
      })),
  }));
}
