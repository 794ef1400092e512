/**
 * Tables 10 and 11: a port sends only from its own MAC and addresses. ARP and neighbour discovery may claim only what is its own, a
 * guest is no router (no advertisements, no redirects) and no DHCP server, and other kinds of frames do not pass. Where no address of
 * a port is known, it may have any, but still from its MAC alone. A port without protection skips both; tags within tags pass for nobody.
 */
import { linkLocal } from './addresses.ts';
import { resubmit } from './actions.ts';
import { cookieOf } from './cookies.ts';
import type { Fields, FlowSet } from './flow-set.ts';
import {
  arp,
  dhcpReply,
  dhcpRequest,
  dhcpv6Reply,
  ethernet,
  firstPart,
  icmpv6,
  ip,
  source,
  stillTagged,
} from './matches.ts';
import { type Model, plugged, type PluggedPort } from './model.ts';
import { register, table } from './pipeline.ts';

const solicitation = { ...icmpv6, icmpv6_type: 135 } as const;
const advertisement = { ...icmpv6, icmpv6_type: 136 } as const;

export function antiSpoof(model: Model, flows: FlowSet): void {
  // A tag within that of a trunk would be the outer one on the wire of a flat network.
  for (const fields of stillTagged) flows.add(cookieOf('pipeline'), table.antiSpoof, 200, fields, []);
  for (const port of plugged(model)) {
    if (port.port.antiSpoofing) protect(port, flows);
    else {
      const cookie = cookieOf('port', port.key);
      flows.add(cookie, table.antiSpoof, 50, { [register.from]: port.number }, [resubmit(table.respond)]);
    }
  }
}

function protect({ key, number, mac, addresses }: PluggedPort, flows: FlowSet): void {
  const cookie = cookieOf('port', key);
  const spoofed = cookieOf('spoofed', key);
  const from = { [register.from]: number };
  const pass = (priority: number, fields: Fields, next: number = table.respond): void => {
    flows.add(cookie, table.antiSpoof, priority, { ...from, eth_src: mac, ...fields }, [resubmit(next)]);
  };
  flows.add(spoofed, table.antiSpoof, 1, from, []);
  for (const reply of [dhcpReply, dhcpv6Reply]) flows.add(spoofed, table.antiSpoof, 95, { ...from, ...reply }, []);
  // A guest that arrives announces its MAC by RARP (QEMU does it at the end of a move).
  pass(90, { eth_type: ethernet.rarp });
  for (const { family, value } of addresses) {
    if (family === 'ipv4') {
      pass(90, { ...arp, arp_sha: mac, arp_spa: value });
      pass(90, { ...ip.ipv4, ipv4_src: value });
    } else pass(90, { ...ip.ipv6, [source[family]]: value }, table.antiSpoofNd);
  }
  if (addresses.length === 0) {
    pass(90, { ...arp, arp_sha: mac });
    pass(90, ip.ipv4);
    protectIpv6('any', { cookie, spoofed, from, mac, pass }, flows);
    return;
  }
  const ipv4 = addresses.some(({ family }) => family === 'ipv4');
  // Somebody who has no address yet asks whether one is free (no sender address), or for one.
  if (ipv4) pass(90, { ...arp, arp_sha: mac, arp_spa: 0 });
  pass(90, { ...dhcpRequest, ipv4_src: 0, ipv4_dst: 0xffffffffn });
  const ipv6 = addresses.filter(({ family }) => family === 'ipv6').map(({ value }) => value);
  if (ipv6.length > 0) protectIpv6([...ipv6, linkLocal(mac)], { cookie, spoofed, from, mac, pass }, flows);
}

interface Protected {
  readonly cookie: bigint;
  readonly spoofed: bigint;
  readonly from: Fields;
  readonly mac: bigint;
  readonly pass: (priority: number, fields: Fields, next?: number) => void;
}

function protectIpv6(
  own: readonly bigint[] | 'any',
  { cookie, spoofed, from, mac, pass }: Protected,
  flows: FlowSet,
): void {
  if (own === 'any') pass(90, ip.ipv6, table.antiSpoofNd);
  else {
    pass(90, { ...ip.ipv6, ipv6_src: linkLocal(mac) }, table.antiSpoofNd);
    for (const target of own) pass(90, { ...solicitation, ipv6_src: 0, nd_target: target });
    pass(90, { ...icmpv6, icmpv6_type: 143, ipv6_src: 0 });
  }
  const nd = (priority: number, fields: Fields, through: boolean): void => {
    const actions = through ? [resubmit(table.respond)] : [];
    flows.add(through ? cookie : spoofed, table.antiSpoofNd, priority, { ...from, ...fields }, actions);
  };
  // A link-layer address in the message is the sender's own, or there is none (0).
  for (const linkLayer of [mac, 0n]) {
    nd(90, { ...solicitation, nd_sll: linkLayer }, true);
    for (const target of own === 'any' ? [undefined] : own) {
      nd(90, { ...advertisement, nd_target: target, nd_tll: linkLayer }, true);
    }
  }
  for (const type of [134, 135, 136, 137]) nd(80, { ...icmpv6, icmpv6_type: type }, false);
  // Sent in parts, the first of which does not show what it is (RFC 7113): no type, or the headers do not end.
  nd(80, { ...icmpv6, ...firstPart, icmpv6_type: 0 }, false);
  nd(80, { ...ip.ipv6, ip_proto: 0 }, false);
  nd(10, {}, true);
}
