/**
 * Tables 40 to 42 and 60: delivery within a network. From a port (40): to ports here, through the tunnel, out of the uplink. From outside
 * (41): to ports here only, so nothing goes from tunnel to tunnel or round a ring. Table 60 puts a frame on its port.
 */
import type { Action, Flow } from '../flow.ts';
import { parseAddress } from './addresses.ts';
import { clone, output, resubmit, set, tagged } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { Domain } from './domains.ts';
import type { FlowSet } from './flow-set.ts';
import { manyReceivers } from './matches.ts';
import { type Model, plugged } from './model.ts';
import { register, table } from './pipeline.ts';

/** What is done for one of several receivers, without an effect on the next. */
type Leg = readonly Action[];

/** A flow has room for so many receivers (a message has 64 KiB); longer lists are split. */
const legsInFlow = 200;

export function switching(model: Model, flows: FlowSet): void {
  for (const domain of model.domains) {
    unicast(domain, flows);
    broadcast(domain, model, flows);
    reflections(domain, model, flows);
  }
  for (const { key, number, port, openflowPort } of plugged(model)) {
    const tag = port.guestVlan === null ? [] : tagged(port.guestVlan);
    flows.add(cookieOf('port', key), table.output, 100, { [register.to]: number }, [...tag, output(openflowPort)]);
  }
}

function unicast(domain: Domain, flows: FlowSet): void {
  const cookie = cookieOf('network', domain.networkIds[0]);
  const metadata = domain.number;
  for (const [mac, { ports, vteps, uplink }] of domain.hosts) {
    const here = ports.map(toPort);
    const all = [...here, ...toVteps(domain, vteps), ...(uplink ? toUplink(domain) : [])];
    const to = { metadata, eth_dst: mac };
    if (all.length > 0) flows.add(cookie, table.switchFromVm, 100, to, oneByOne(all));
    if (here.length > 0) flows.add(cookie, table.switchFromOutside, 100, to, oneByOne(here));
  }
  const elsewhere = [...toVteps(domain, domain.externalVteps), ...toUplink(domain)];
  if (elsewhere.length > 0) flows.add(cookie, table.switchFromVm, 10, { metadata }, oneByOne(elsewhere));
}

function broadcast(domain: Domain, { ports }: Model, flows: FlowSet): void {
  const cookie = cookieOf('network', domain.networkIds[0]);
  const here = ports.filter((port) => port.domain === domain && port.openflowPort !== null).map(({ number }) => number);
  const vteps = [...new Set([...domain.memberVteps, ...domain.externalVteps])].sort();
  const local = here.sort((a, b) => a - b).map(toPort);
  const all = [...local, ...toVteps(domain, vteps), ...toUplink(domain)];
  const match = { metadata: domain.number, eth_dst: manyReceivers };
  const add = (from: number, legs: readonly Leg[], firstPart: number): number => {
    const { actions, parts } = split(legs, firstPart);
    parts.forEach((part, index) => {
      const fields = { metadata: domain.number, [register.part]: firstPart + index };
      flows.add(cookie, table.replicate, 100, fields, part);
    });
    if (legs.length > 0) flows.add(cookie, from, 60, match, actions);
    return firstPart + parts.length;
  };
  add(table.switchFromVm, all, add(table.switchFromOutside, local, 1));
}

/** The long way round for long lists: parts of their own, gone through one after the other. */
function split(legs: readonly Leg[], firstPart: number): { actions: readonly Action[]; parts: Flow['actions'][] } {
  if (legs.length <= legsInFlow) return { actions: oneByOne(legs), parts: [] };
  const parts: Flow['actions'][] = [];
  for (let at = 0; at < legs.length; at += legsInFlow) parts.push(oneByOne(legs.slice(at, at + legsInFlow), true));
  const actions = parts.flatMap((_, index) => [set(register.part, firstPart + index), resubmit(table.replicate)]);
  return { actions, parts };
}

/**
 * Some bonds hand a guest's own broadcast back through another of their links. A port that is on its way here is still elsewhere: its
 * frames come from outside rightly.
 */
function reflections(domain: Domain, { ports }: Model, flows: FlowSet): void {
  if (domain.uplink?.reflects !== true) return;
  for (const port of ports) {
    if (port.domain !== domain || port.port.phase !== 'active') continue;
    const fields = { in_port: domain.uplink.port, metadata: domain.number, eth_src: port.mac };
    flows.add(cookieOf('port', port.key), table.switchFromOutside, 150, fields, []);
  }
}

function oneByOne(legs: readonly Leg[], always = false): readonly Action[] {
  if (legs.length === 1 && !always) return legs[0] as Leg;
  return legs.map(clone);
}

function toPort(number: number): Leg {
  return [set(register.to, number), resubmit(table.trackIn)];
}

export function toVteps({ tunnel }: Pick<Domain, 'tunnel'>, vteps: readonly string[]): Leg[] {
  if (tunnel === null) return [];
  return vteps.flatMap((vtep) => {
    const { family, value } = parseAddress(vtep);
    if (family !== 'ipv4') return [];
    return [[set('tun_id', tunnel.vni), set('tun_dst', value), output(tunnel.port)]];
  });
}

export function toUplink({ uplink }: Pick<Domain, 'uplink'>): Leg[] {
  return uplink === null ? [] : [[resubmit(table.leave)]];
}
