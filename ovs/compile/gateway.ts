/**
 * Tables 37 to 39 and 43 to 45, on the gateway host of a router: address translation between its networks and the outside, one zone for
 * each router. Out: floating addresses for those who have one, else the router's own. In: replies, and new connections to
 * floating addresses only. A packet between two of the router's own floating addresses passes out and in again here.
 */
import type { Action, Meter } from '../flow.ts';
import { cidrOf, parseAddress, parseMac } from './addresses.ts';
import { arpAnswer, forgetInPort, move, resubmit, set } from './actions.ts';
import { portMeter, questionMeter } from './classify.ts';
import { cookieOf } from './cookies.ts';
import type { Domain } from './domains.ts';
import type { FlowSet } from './flow-set.ts';
import { arp, ip, tracked, within } from './matches.ts';
import { type Model, sortedBy } from './model.ts';
import { encodeQuestion } from './packet-in.ts';
import { register, table } from './pipeline.ts';
import { connectedTo, echo, echoReply, leaveRouter } from './routing.ts';
import type { Gateway } from './slice.ts';
import { toUplink } from './switching.ts';

/**
 * What a router may ask of the agent, and what the outside may tell it, each with a meter of its own: neither a flood of
 * packets to nobody nor one of ARP answers keeps the agent from its other work.
 */
const questionRate = { rateKbps: 256, burstKb: 256 } as const;

interface Here {
  readonly model: Model;
  readonly router: Model['routers'][number];
  readonly gateway: Gateway;
  readonly external: Domain;
  readonly mac: bigint;
  readonly cookie: bigint;
}

export function gateways(model: Model, flows: FlowSet): Meter[] {
  const meters: Meter[] = [];
  for (const router of model.routers) {
    const { gateway } = router;
    const external = gateway === null ? undefined : model.domainOf.get(gateway.externalNetworkId);
    if (gateway?.here !== true || external === undefined) continue;
    const mac = parseMac(gateway.macAddress);
    const here: Here = { model, router, gateway, external, mac, cookie: cookieOf('router', router.routerId) };
    translateOut(here, flows);
    nextHop(here, flows);
    neighbours(here, flows);
    answerOutside(here, flows);
    translateIn(here, flows);
    const ids = [portMeter(router.number), questionMeter(router.number)];
    meters.push(...ids.map((meterId) => ({ meterId, ...questionRate })));
  }
  return meters;
}

function translateOut({ model, router, gateway, cookie }: Here, flows: FlowSet): void {
  const of = { [register.router]: router.number, ...ip.ipv4 };
  const zone = router.number;
  flows.add(cookie, table.natOut, 100, of, [{ do: 'ct', commit: false, zone, nat: true, table: table.natOutNew }]);
  flows.add(cookieOf('invalid'), table.natOutNew, 300, tracked('inv'), []);
  for (const state of ['est', 'rel'] as const) {
    flows.add(cookieOf('pipeline'), table.natOutNew, 200, tracked(state), [resubmit(table.nextHop)]);
  }
  // Sent again before there was an answer: known, and translated already.
  flows.add(cookieOf('pipeline'), table.natOutNew, 200, tracked('new', 'snat'), [resubmit(table.nextHop)]);
  const translate = (to: string): Action => {
    const nat = { kind: 'src', addresses: { from: to, to } } as const;
    return { do: 'ct', commit: true, zone, nat, table: table.nextHop };
  };
  for (const { address, fixedAddress, networkId } of floatingOf(gateway)) {
    const domain = model.domainOf.get(networkId);
    if (domain === undefined) continue;
    const from = { ...of, ...tracked('new'), metadata: domain.number, ipv4_src: parseAddress(fixedAddress).value };
    flows.add(cookie, table.natOutNew, 100, from, [translate(address)]);
  }
  const opening = { ...of, ...tracked('new') };
  if (gateway.snat) flows.add(cookie, table.natOutNew, 50, opening, [translate(gateway.address)]);
  else {
    // A port without protection may send under any address: out go only those that an answer would find.
    for (const source of subnetsOf(router, model)) {
      const asItIs = { do: 'ct', commit: true, zone, table: table.nextHop } as const;
      flows.add(cookie, table.natOutNew, 50, { ...opening, ipv4_src: source }, [asItIs]);
    }
  }
  // Where there is no room for a connection more, a switch in user space hands its packet on as it is.
  const fixed = floatingOf(gateway).map(({ fixedAddress }) => parseAddress(fixedAddress).value);
  for (const inside of gateway.snat ? subnetsOf(router, model) : fixed) {
    flows.add(cookieOf('invalid'), table.nextHop, 110, { ...of, ipv4_src: inside }, []);
  }
}

/** Which address on the external network gets the packet. */
function nextHop({ router, gateway, external, mac, cookie }: Here, flows: FlowSet): void {
  const of = { [register.router]: router.number, ...ip.ipv4 };
  const towards = (hop: Action): Action[] => [
    hop,
    set('eth_src', mac),
    set('metadata', external.number),
    resubmit(table.neighbour),
  ];
  for (const { address } of [gateway, ...floatingOf(gateway)]) {
    const own = { ...of, ipv4_dst: parseAddress(address).value };
    flows.add(cookie, table.nextHop, 100, own, [{ do: 'ct-clear' }, resubmit(table.natIn)]);
  }
  const subnet = within(cidrOf(parseAddress(gateway.address), gateway.prefixLength));
  flows.add(cookie, table.nextHop, 60, { ...of, ipv4_dst: subnet }, towards(move('ipv4_dst', register.nextHop)));
  if (gateway.nextHop === null) return;
  const hop = set(register.nextHop, parseAddress(gateway.nextHop).value);
  flows.add(cookie, table.nextHop, 50, of, towards(hop));
}

function neighbours({ model, router, gateway, external, cookie }: Here, flows: FlowSet): void {
  const resolved = Object.entries(model.local.neighbours[gateway.externalNetworkId] ?? {})
    .map(([address, mac]) => ({ ...parseAddress(address), mac: parseMac(mac) }))
    .sort((a, b) => (a.value < b.value ? -1 : 1));
  // What the manager knows comes first.
  for (const { family, value, mac } of [...external.owners, ...resolved]) {
    if (family !== 'ipv4') continue;
    const hop = { metadata: external.number, [register.nextHop]: value, ...ip.ipv4 };
    const network = cookieOf('network', external.networkIds[0]);
    flows.add(network, table.neighbour, 100, hop, [{ do: 'ct-clear' }, set('eth_dst', mac), ...leaveRouter]);
  }
  const userdata = encodeQuestion({ asks: 'neighbour', router: router.number });
  const unknown = { [register.router]: router.number, ...ip.ipv4 };
  flows.add(cookie, table.neighbour, 10, unknown, [
    { do: 'meter', meterId: questionMeter(router.number) },
    { do: 'controller', userdata },
  ]);
}

/**
 * ARP for the router's outer addresses, and everything sent to its outer MAC. What claims to be of a network inside is forged: rules that let
 * members of a group in would take it for one.
 */
function answerOutside({ model, router, gateway, external, mac, cookie }: Here, flows: FlowSet): void {
  const metadata = external.number;
  const [uplink] = toUplink(external);
  for (const { address } of [gateway, ...floatingOf(gateway)]) {
    if (uplink === undefined) break;
    const { value } = parseAddress(address);
    const request = { metadata, ...arp, arp_op: 1, arp_tpa: value };
    flows.add(cookie, table.switchFromOutside, 130, request, [...arpAnswer(mac, value), forgetInPort, ...uplink]);
  }
  const userdata = encodeQuestion({ asks: 'learn-neighbour', router: router.number });
  const answer = { metadata, eth_dst: mac, ...arp, arp_op: 2 };
  flows.add(cookie, table.switchFromOutside, 130, answer, [
    { do: 'meter', meterId: portMeter(router.number) },
    { do: 'controller', userdata },
  ]);
  const enter = [set(register.router, router.number), resubmit(table.natIn)];
  for (const from of [table.switchFromVm, table.switchFromOutside]) {
    flows.add(cookie, from, 120, { metadata, eth_dst: mac, ...ip.ipv4 }, enter);
    flows.add(cookie, from, 110, { metadata, eth_dst: mac }, []);
    for (const forged of subnetsOf(router, model)) {
      flows.add(cookie, from, 125, { metadata, eth_dst: mac, ...ip.ipv4, ipv4_src: forged }, []);
    }
  }
}

function translateIn({ model, router, gateway, cookie }: Here, flows: FlowSet): void {
  const of = { [register.router]: router.number, ...ip.ipv4 };
  const zone = router.number;
  const ping = { ...of, ...echo.ipv4, ipv4_dst: parseAddress(gateway.address).value };
  flows.add(cookie, table.natIn, 110, ping, [...echoReply.ipv4, resubmit(table.nextHop)]);
  flows.add(cookie, table.natIn, 100, of, [
    set(register.outside, 1),
    { do: 'ct', commit: false, zone, nat: true, table: table.natInNew },
  ]);
  flows.add(cookieOf('invalid'), table.natInNew, 300, tracked('inv'), []);
  for (const state of ['est', 'rel'] as const) {
    flows.add(cookieOf('pipeline'), table.natInNew, 200, tracked(state), [resubmit(table.route)]);
  }
  for (const { address, fixedAddress } of floatingOf(gateway)) {
    const nat = { kind: 'dst', addresses: { from: fixedAddress, to: fixedAddress } } as const;
    const to = { ...of, ...tracked('new'), ipv4_dst: parseAddress(address).value };
    flows.add(cookie, table.natInNew, 100, to, [{ do: 'ct', commit: true, zone, nat, table: table.route }]);
  }
  if (gateway.snat) return;
  for (const inside of subnetsOf(router, model)) {
    const to = { ...of, ...tracked('new'), ipv4_dst: inside };
    flows.add(cookie, table.natInNew, 50, to, [{ do: 'ct', commit: true, zone, table: table.route }]);
  }
}

/** Its IPv4 networks. */
function subnetsOf(router: Here['router'], model: Model) {
  return connectedTo(router, model).flatMap(({ at, address }) =>
    address.family === 'ipv4' ? [within(cidrOf(address, at.prefixLength))] : [],
  );
}

function floatingOf(gateway: Gateway) {
  return sortedBy(gateway.floating, ({ address }) => address);
}
