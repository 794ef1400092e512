/**
 * Tables 35 and 36: the distributed router. Every host routes what its own ports send, so traffic between two networks of a tenant takes the
 * straight way; only the way out leads through the gateway host (as a frame to the router's MAC in the sender's network).
 * Nothing is looked up at run time: the manager knows where each address is.
 */
import type { Action } from '../flow.ts';
import { type Address, cidrOf, parseAddress } from './addresses.ts';
import { arpAnswer, forgetInPort, move, resubmit, set, swap } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { Domain } from './domains.ts';
import type { FlowSet } from './flow-set.ts';
import { arp, destination, icmpv6, ip, protocol, within } from './matches.ts';
import type { Model } from './model.ts';
import { register, table } from './pipeline.ts';
import type { RouterInterface } from './slice.ts';
import { toVteps } from './switching.ts';

type Router = Model['routers'][number];

export interface Connected {
  readonly at: RouterInterface;
  readonly address: Address;
  readonly domain: Domain;
}

export function routing(model: Model, flows: FlowSet): void {
  const cookie = cookieOf('pipeline');
  flows.add(cookie, table.enterRouter, 0, {}, [resubmit(table.switchFromVm)]);
  if (model.routers.length === 0) return;
  for (const family of [ip.ipv4, ip.ipv6]) {
    for (const ttl of [0, 1]) flows.add(cookie, table.route, 300, { ...family, nw_ttl: ttl }, []);
  }
  // Link-local and multicast stay on their network.
  for (const { value, prefixLength } of [
    { value: 0xfe80n << 112n, prefixLength: 10 },
    { value: 0xff00n << 112n, prefixLength: 8 },
    { value: 0xa9fe0000n, prefixLength: 16 },
    { value: 0xe0000000n, prefixLength: 3 },
  ]) {
    const family = value > 0xffffffffn ? 'ipv6' : 'ipv4';
    const local = within({ family, value, prefixLength });
    flows.add(cookie, table.route, 300, { ...ip[family], [destination[family]]: local }, []);
  }
  for (const router of model.routers) {
    const connected = connectedTo(router, model);
    enter(router, connected, flows);
    for (const each of connected) addressesBehind(router, each, flows);
    wayOut(router, connected, flows);
  }
}

export function connectedTo(router: Router, model: Model): Connected[] {
  return [...router.interfaces]
    .sort((a, b) => (a.networkId + a.address < b.networkId + b.address ? -1 : 1))
    .flatMap((at) => {
      const domain = model.domainOf.get(at.networkId);
      return domain === undefined ? [] : [{ at, address: parseAddress(at.address), domain }];
    });
}

/** What is addressed to the router's MAC; from the tunnel on its gateway host alone. */
function enter({ routerId, number, mac, gateway }: Router, connected: readonly Connected[], flows: FlowSet): void {
  const actions = [set(register.router, number), resubmit(table.route)];
  for (const each of connected) {
    const { domain } = each;
    for (const family of [ip.ipv4, ip.ipv6]) {
      const fields = { metadata: domain.number, eth_dst: mac, ...family };
      flows.add(cookieOf('router', routerId), table.enterRouter, 100, fields, actions);
      if (gateway?.here !== true) continue;
      flows.add(cookieOf('router', routerId), table.switchFromOutside, 110, fields, actions);
    }
    if (gateway?.here === true) answerForeign({ routerId, mac }, each, flows);
  }
}

/** Who is behind a foreign VTEP is answered by the gateway host alone, or each host would. */
function answerForeign(router: Pick<Router, 'routerId' | 'mac'>, { address, domain }: Connected, flows: FlowSet): void {
  const { tunnel, externalVteps, number } = domain;
  if (tunnel === null || externalVteps.length === 0 || address.family !== 'ipv4') return;
  const request = { in_port: tunnel.port, metadata: number, ...arp, arp_op: 1, arp_tpa: address.value };
  flows.add(cookieOf('router', router.routerId), table.switchFromOutside, 130, request, [
    ...arpAnswer(router.mac, address.value),
    move('tun_src', 'tun_dst'),
    set('tun_id', tunnel.vni),
    { do: 'output', port: 'in_port' },
  ]);
}

function addressesBehind(router: Router, { at, address, domain }: Connected, flows: FlowSet): void {
  const cookie = cookieOf('router', router.routerId);
  const { family, value } = address;
  const to = { [register.router]: router.number, ...ip[family] };
  flows.add(cookie, table.route, 310, { ...to, ...echo[family], [destination[family]]: value }, [
    ...echoReply[family],
    resubmit(table.route),
  ]);
  const subnet = cidrOf(address, at.prefixLength);
  for (const owner of domain.owners) {
    if (owner.family !== family || owner.value === value || cidrOf(owner, at.prefixLength).value !== subnet.value)
      continue;
    flows.add(cookie, table.route, 200, { ...to, [destination[family]]: owner.value }, [
      set('eth_src', router.mac),
      set('eth_dst', owner.mac),
      set('metadata', domain.number),
      ...leaveRouter,
    ]);
  }
  flows.add(cookie, table.route, 100, { ...to, [destination[family]]: within(subnet) }, []);
}

/** From here on the packet counts as the router's own. */
export const leaveRouter: readonly Action[] = [
  { do: 'dec-ttl' },
  set(register.from, 0),
  forgetInPort,
  resubmit(table.switchFromVm),
];

export const echo = {
  ipv4: { ip_proto: protocol.icmp, icmpv4_type: 8, icmpv4_code: 0 },
  ipv6: { ...icmpv6, icmpv6_type: 128, icmpv6_code: 0 },
} as const;

/** Turns a ping into its answer; the way back is looked up as for any packet. */
export const echoReply: Readonly<Record<'ipv4' | 'ipv6', readonly Action[]>> = {
  ipv4: [...swap('ipv4_src', 'ipv4_dst', 'reg0'), set('icmpv4_type', 0), set('nw_ttl', 65)],
  ipv6: [...swap('ipv6_src', 'ipv6_dst', 'xxreg0'), set('icmpv6_type', 129), set('nw_ttl', 65)],
};

function wayOut({ routerId, number, gateway }: Router, connected: readonly Connected[], flows: FlowSet): void {
  if (gateway === null) return;
  const cookie = cookieOf('router', routerId);
  const to = { [register.router]: number, [register.outside]: 0, ...ip.ipv4 };
  if (gateway.here) {
    flows.add(cookie, table.route, 10, to, [resubmit(table.natOut)]);
    return;
  }
  for (const { domain } of connected) {
    const [tunnel] = toVteps(domain, [gateway.vtep]);
    if (tunnel !== undefined) flows.add(cookie, table.route, 10, { ...to, metadata: domain.number }, tunnel);
  }
}
