/** Ports: what is said of the NICs of a project's VMs on their networks. A change is in force as soon as the hosts have heard. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { portOperations } from '@kvasir/api/resources/port.ts';
import { sql } from 'kysely';
import { networkAddresses, type NetworkRow, networks, type PortRow, ports, subPorts } from '../store/networks.ts';
import { qosPolicies } from '../store/port-policies.ts';
import type { ProjectRow } from '../store/projects.ts';
import { floatingAddresses } from '../store/routers.ts';
import { portSecurityGroups, securityGroups } from '../store/security-groups.ts';
import { vms } from '../store/vms.ts';
import { formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { projectOf, referredRow } from './access.ts';
import { checkAddresses, checkGivenOut, takeAddress } from './addresses.ts';
import type { Change, OpenService, ReadService } from './call.ts';
import { checkRevision, nudging, refuseFields, saysSomething } from './changes.ts';
import { openNetworks } from './networks.ts';
import { defaultGroup, groupNamesOfRules, namedGroups } from './security-groups.ts';
import { announcePort, findPort, portKind } from './owned-port.ts';
import { portView, portViews } from './port-views.ts';

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
    checkRevision(change, portKind, port);
    if (!saysSomething(body)) return portView(change, port);
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
    if (body.addresses !== undefined) await changeAddresses(change, port, network, project, body.addresses);
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

/** What the port's host counts now. */
export const portCounters: OpenService<typeof portOperations.counters> = async (call, { params, query }) => {
  const { port, vm } = await findPort(call, params.port, query.project);
  if (vm.hostId === null) {
    throw new KvasirError('wrong-state', {
      action: 'count at',
      kind: portKind,
      name: port.macAddress,
      state: 'on no host',
    });
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

async function isOnOwnNetworks({ tx }: Change, port: PortRow, project: ProjectRow): Promise<boolean> {
  const carried = await subPorts.select(tx, { portId: port.id });
  const ids = [port.networkId, ...carried.map(({ networkId }) => networkId)];
  return (await networks.select(tx, { id: ids })).every(({ projectId }) => projectId === project.id);
}

async function changeAddresses(
  change: Change,
  port: PortRow,
  network: NetworkRow,
  project: ProjectRow,
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
    checkGivenOut(change, network, project, address, `/body/addresses/${index}`);
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
