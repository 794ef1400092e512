/**
 * A packet followed from its source's host to where it ends: each host is asked what its flows do to it, and where it goes on
 * from there. Nothing is sent.
 */
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { networkTrace, TracePacket } from '@kvasir/api/agent/network.ts';
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { Trace, traceOperations } from '@kvasir/api/resources/network-trace.ts';
import { contains, formatAddress, parseAddress } from '@kvasir/control/network/address.ts';
import { cidrOf } from '@kvasir/control/network/subnet.ts';
import { protocolNumbers } from '@kvasir/control/network/rule.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { networkAddresses, type NetworkRow, networks, type PortRow, ports } from '../store/networks.ts';
import type { ProjectRow } from '../store/projects.ts';
import { routerInterfaces, routers } from '../store/routers.ts';
import { vms } from '../store/vms.ts';
import { actorOf, isOperator, notFoundAt, projectOf, referredRow } from './access.ts';
import type { Call, OpenService } from './call.ts';
import { groupNamesOfRules } from './security-groups.ts';

const mostHops = 4;
const broadcastMac = 'ff:ff:ff:ff:ff:ff';

interface End {
  readonly port: PortRow;
  readonly hostId: string | null;
  readonly addresses: readonly string[];
}

export const traceNetwork: OpenService<typeof traceOperations.trace> = async (call, { query }) => {
  const project = await projectOf(call, query.project);
  const from = await endOf(call, project, query.from, '/query/from');
  if (from.hostId === null) {
    throw new KvasirError('wrong-state', { action: 'trace from', kind: 'VM', name: query.from, state: 'on no host' });
  }
  const asked = parseAddress(query.to);
  const target = asked ? undefined : await endOf(call, project, query.to, '/query/to');
  const network = await networks.get(call.db, from.port.networkId);
  const destination = asked ? formatAddress(asked) : addressTowards(from, target!);
  const source = from.addresses.find((one) => one.includes(':') === destination.includes(':'));
  if (source === undefined)
    throw invalidField('/query/from', `has no ${destination.includes(':') ? 'IPv6' : 'IPv4'} address`);
  const protocol = query.protocol ?? 'tcp';
  const withPorts = protocol !== 'icmp';
  const packet: TracePacket = {
    protocol: protocol === 'icmp' && destination.includes(':') ? 58 : protocolNumbers[protocol]!,
    sourceMac: from.port.macAddress,
    destinationMac: await nextMac(call, network, destination),
    sourceAddress: source,
    destinationAddress: destination,
    sourcePort: withPorts ? 40_000 : null,
    destinationPort: withPorts ? (query.port ?? 80) : null,
  };
  return await follow(call, project, from, packet);
};

async function follow(call: Call, project: ProjectRow, { port, hostId }: End, first: TracePacket): Promise<Trace> {
  const { db, env } = call;
  const end = (verdict: Trace['verdict'], droppedBy: string | null) =>
    finished(call, project, verdict, droppedBy, hops);
  const seesHosts = isOperator(actorOf(call));
  const hops: (Trace['hops'][number] & { readonly ruleId: string | null })[] = [];
  let at: ParamsOf<typeof networkTrace> = { from: { nicId: port.id }, packet: first };
  let host: HostRow | undefined = await hosts.get(db, hostId!);
  for (let step = 0; host !== undefined && step < mostHops; step += 1) {
    const { name, id, inventory } = host;
    const answer = await env.links.traceNetwork(id, at);
    for (const { stage, text, ruleId } of answer.hops) {
      const told = seesHosts ? { host: name, text } : { host: null, text: withoutPlaces(text) };
      hops.push({ ...told, stage, ruleId, securityGroupName: null });
    }
    if (answer.verdict !== 'sent') return await end(answer.verdict, answer.droppedBy);
    const { to, packet } = answer;
    if (to === null || !('vtep' in to)) break;
    const vtep = inventory?.tunnelAddress ?? null;
    if (vtep === null) break;
    host = await hostAt(call, to.vtep);
    at = { from: { vtep, networkId: to.networkId }, packet: packet ?? at.packet };
  }
  return await end('unknown', null);
}

/** Actions name tunnels, ports and MACs of others. */
function withoutPlaces(text: string): string {
  return text === 'drop' || text === 'nothing takes it' ? text : 'goes on';
}

/** Rules of other projects are those of whoever owns the far end: tenants are not told them. */
async function finished(
  call: Call,
  project: ProjectRow,
  verdict: Trace['verdict'],
  droppedBy: string | null,
  hops: readonly Trace['hops'][number][],
): Promise<Trace> {
  const seesAll = isOperator(actorOf(call));
  const ids = hops.flatMap(({ ruleId }) => ruleId ?? []);
  const names = await groupNamesOfRules(call, ids, seesAll ? undefined : project.id);
  const named = hops.map((hop) => {
    const securityGroupName = names.get(hop.ruleId ?? '') ?? null;
    return { ...hop, ruleId: seesAll || securityGroupName !== null ? hop.ruleId : null, securityGroupName };
  });
  return { verdict, droppedBy, hops: named };
}

/** A VM by name or id (its first NIC), or a port by id, of the project. */
async function endOf(call: Call, project: ProjectRow, asked: string, field: string): Promise<End> {
  const named = await ports.find(call.db, { id: asked });
  const vm = named
    ? await vms.find(call.db, { id: named.vmId, projectId: project.id })
    : await referredRow(call, vms, asked, project, field, { named: { trashedAt: null } });
  const port = named ?? (vm && (await ports.select(call.db, { vmId: vm.id }, 'position'))[0]);
  if (vm === undefined) throw notFoundAt(field, 'port', asked);
  if (port === undefined) throw invalidField(field, 'has no NIC');
  const addresses = (await networkAddresses.select(call.db, { portId: port.id })).map(({ address }) => address);
  return { port, hostId: vm.hostId, addresses };
}

function addressTowards(from: End, to: End): string {
  const common = to.addresses.find((one) => from.addresses.some((own) => own.includes(':') === one.includes(':')));
  if (common === undefined) throw invalidField('/query/to', 'has no address of a family that the sender has');
  return common;
}

/** Whom the sender's guest would send the frame to: the destination itself, or its router. */
async function nextMac(call: Call, network: NetworkRow, destination: string): Promise<string> {
  const parsed = parseAddress(destination)!;
  const local = network.subnets.some((subnet) => contains(cidrOf(subnet), parsed));
  if (local) {
    const held = await networkAddresses.find(call.db, { networkId: network.id, address: destination });
    const port = held?.portId ? await ports.find(call.db, { id: held.portId }) : undefined;
    return port?.macAddress ?? broadcastMac;
  }
  const [way] = await routerInterfaces.select(call.db, { networkId: network.id, family: parsed.family });
  return way ? (await routers.get(call.db, way.routerId)).macAddress : broadcastMac;
}

async function hostAt(call: Call, vtep: string): Promise<HostRow | undefined> {
  return (await hosts.select(call.db)).find(({ inventory }) => inventory?.tunnelAddress === vtep);
}
