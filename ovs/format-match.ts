/**
 * A match as `ovs-ofctl dump-flows` writes it, in the same order: protocols get their short names, and fields that exist
 * for several protocols (`nw_src`, `tp_dst`) their common one.
 */
import { formatMasked } from './format-value.ts';
import type { FieldMatch, FieldName, Match } from './flow.ts';
import { canonicalMatch } from './canonical-match.ts';
import { allOnes, fields } from './openflow/fields.ts';

const ethernetTypes = new Map([
  [0x0800n, 'ip'],
  [0x86ddn, 'ipv6'],
  [0x0806n, 'arp'],
  [0x8035n, 'rarp'],
  [0x8847n, 'mpls'],
  [0x8848n, 'mplsm'],
]);
const ipv4Protocols = new Map([
  [1n, 'icmp'],
  [2n, 'igmp'],
  [6n, 'tcp'],
  [17n, 'udp'],
  [132n, 'sctp'],
]);
const ipv6Protocols = new Map([
  [6n, 'tcp6'],
  [17n, 'udp6'],
  [58n, 'icmp6'],
  [132n, 'sctp6'],
]);

const registers = Array.from({ length: 16 }, (_, n): FieldName => `reg${n}` as FieldName);
const beforeType: readonly FieldName[] = [
  'conj_id',
  'ct_state',
  'ct_zone',
  'ct_mark',
  'ct_label',
  'ct_nw_src',
  'ct_nw_dst',
];
const afterType: readonly FieldName[] = [...registers, 'tun_id', 'tun_src', 'tun_dst', 'metadata', 'in_port'];
const last: readonly (readonly [FieldName, string])[] = [
  ['arp_sha', 'arp_sha'],
  ['arp_tha', 'arp_tha'],
  ['ip_dscp', 'nw_tos'],
  ['nw_ttl', 'nw_ttl'],
  ['nw_frag', 'nw_frag'],
  ['icmpv4_type', 'icmp_type'],
  ['icmpv4_code', 'icmp_code'],
  ['icmpv6_type', 'icmp_type'],
  ['icmpv6_code', 'icmp_code'],
  ['nd_target', 'nd_target'],
  ['nd_sll', 'nd_sll'],
  ['nd_tll', 'nd_tll'],
  ['nd_reserved', 'nd_reserved'],
  ['nd_options_type', 'nd_options_type'],
  ['tcp_src', 'tp_src'],
  ['udp_src', 'tp_src'],
  ['sctp_src', 'tp_src'],
  ['tcp_dst', 'tp_dst'],
  ['udp_dst', 'tp_dst'],
  ['sctp_dst', 'tp_dst'],
  ['tcp_flags', 'tcp_flags'],
];
const addresses: readonly (readonly [FieldName, string])[] = [
  ['ipv4_src', 'nw_src'],
  ['ipv4_dst', 'nw_dst'],
  ['ipv6_src', 'ipv6_src'],
  ['ipv6_dst', 'ipv6_dst'],
  ['arp_spa', 'arp_spa'],
  ['arp_tpa', 'arp_tpa'],
];

/** Fields joined by commas; empty for a match on everything. */
export function formatMatch(original: Match): string {
  const match = canonicalMatch(original);
  const type = ethernetTypes.get(match.eth_type?.value ?? -1n);
  const protocols = type === 'ip' ? ipv4Protocols : type === 'ipv6' ? ipv6Protocols : null;
  const protocol = protocols?.get(match.ip_proto?.value ?? -1n);
  const out: string[] = [];
  const put = (name: FieldName, shown: string = name) => {
    const wanted = match[name];
    if (wanted !== undefined) out.push(formatField(name, shown, wanted));
  };

  for (const name of beforeType) put(name);
  if (type !== undefined) out.push(protocol ?? type);
  for (const name of afterType) put(name);
  if (match.vlan_vid !== undefined) out.push(formatVlan(match.vlan_vid));
  put('eth_src', 'dl_src');
  put('eth_dst', 'dl_dst');
  if (match.eth_type !== undefined && type === undefined) {
    out.push(`dl_type=0x${match.eth_type.value.toString(16).padStart(4, '0')}`);
  }
  for (const [name, shown] of addresses) put(name, shown);
  if (protocol === undefined) put('ip_proto', 'nw_proto');
  put('arp_op');
  for (const [name, shown] of last) put(name, shown);
  return out.join(',');
}

function formatField(name: FieldName, shown: string, wanted: FieldMatch): string {
  if (name === 'ip_dscp') return `${shown}=${wanted.value << 2n}`;
  return `${shown}=${formatMasked(name, wanted)}`;
}

/** Bit 12 says that there is a tag at all. */
function formatVlan({ value, mask = allOnes(fields.vlan_vid.bits) }: FieldMatch): string {
  if (mask === 0x1fffn && (value & 0x1000n) !== 0n) return `dl_vlan=${value & 0xfffn}`;
  const four = (bits: bigint) => bits.toString(16).padStart(4, '0');
  return `vlan_tci=0x${four(value)}/0x${four(mask)}`;
}
