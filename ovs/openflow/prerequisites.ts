/**
 * What a match has to say before a field can be named. The switch refuses a match that leaves it out, with a code and
 * without the name of the field; we refuse first and say which. Nothing is added silently: a compiler that forgot
 * `eth_type` may have meant another protocol.
 */
import type { FieldName, Match } from '../flow.ts';
import { FlowEncodingError } from './errors.ts';
import { fields, type Prerequisite } from './fields.ts';

const protocolNumbers = { tcp: 6n, udp: 17n, sctp: 132n } as const;

/** What to add, for people. */
const hints: Readonly<Record<Prerequisite, string>> = {
  ipv4: 'eth_type 0x0800',
  ipv6: 'eth_type 0x86dd',
  ip: 'eth_type 0x0800 or 0x86dd',
  arp: 'eth_type 0x0806',
  tcp: 'eth_type of IP and ip_proto 6',
  udp: 'eth_type of IP and ip_proto 17',
  sctp: 'eth_type of IP and ip_proto 132',
  icmpv4: 'eth_type 0x0800 and ip_proto 1',
  icmpv6: 'eth_type 0x86dd and ip_proto 58',
  nd: 'ICMPv6 of type 135 or 136 and code 0',
  'nd-solicit': 'ICMPv6 of type 135 and code 0',
  'nd-advert': 'ICMPv6 of type 136 and code 0',
  conntrack: 'a ct_state that implies a valid connection',
};

/** @throws FlowEncodingError naming the field */
export function requirePrerequisite(match: Match, name: FieldName): void {
  const { needs } = fields[name];
  if (needs !== null && !holds(match, needs)) {
    throw new FlowEncodingError(`${name} needs a match on ${hints[needs]}`);
  }
}

/** @throws FlowEncodingError naming the action */
export function requireIp(match: Match, action: string): void {
  if (!holds(match, 'ip')) throw new FlowEncodingError(`${action} needs a match on ${hints.ip}`);
}

function holds(match: Match, needs: Prerequisite): boolean {
  const is = (name: FieldName, ...values: readonly bigint[]) => values.includes(match[name]?.value ?? -1n);
  switch (needs) {
    case 'ipv4':
      return is('eth_type', 0x0800n);
    case 'ipv6':
      return is('eth_type', 0x86ddn);
    case 'ip':
      return is('eth_type', 0x0800n, 0x86ddn);
    case 'arp':
      return is('eth_type', 0x0806n, 0x8035n);
    case 'tcp':
    case 'udp':
    case 'sctp':
      return holds(match, 'ip') && is('ip_proto', protocolNumbers[needs]);
    case 'icmpv4':
      return holds(match, 'ipv4') && is('ip_proto', 1n);
    case 'icmpv6':
      return holds(match, 'ipv6') && is('ip_proto', 58n);
    case 'nd':
      return holds(match, 'nd-solicit') || holds(match, 'nd-advert');
    case 'nd-solicit':
      return holds(match, 'icmpv6') && is('icmpv6_type', 135n) && (match.icmpv6_code?.value ?? 0n) === 0n;
    case 'nd-advert':
      return holds(match, 'icmpv6') && is('icmpv6_type', 136n) && (match.icmpv6_code?.value ?? 0n) === 0n;
    case 'conntrack':
      return impliesConnection(match);
  }
}

/** One of new, est, rel, rpl, snat, dnat set; or trk set and inv cleared. */
function impliesConnection(match: Match): boolean {
  const { value, mask = 0xffffffffn } = match.ct_state ?? { value: 0n, mask: 0n };
  return (value & 0xcfn) !== 0n || ((value & 0x20n) !== 0n && (mask & ~value & 0x10n) !== 0n);
}
