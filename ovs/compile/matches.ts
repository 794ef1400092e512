/** The matches that the stages are written with. */
import type { FieldMatch, FieldName } from '../flow.ts';
import { bitsOf, type Cidr, type Family, prefixMask } from './addresses.ts';
import type { Fields } from './flow-set.ts';

export const ethernet = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  vlan: 0x8100,
  ipv6: 0x86dd,
  serviceVlan: 0x88a8,
} as const;
export const protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

export const arp = { eth_type: ethernet.arp } as const;
export const ip = { ipv4: { eth_type: ethernet.ipv4 }, ipv6: { eth_type: ethernet.ipv6 } } as const;
export const icmpv6 = { ...ip.ipv6, ip_proto: protocol.icmpv6 } as const;

export const source: Readonly<Record<Family, FieldName>> = { ipv4: 'ipv4_src', ipv6: 'ipv6_src' };
export const destination: Readonly<Record<Family, FieldName>> = { ipv4: 'ipv4_dst', ipv6: 'ipv6_dst' };

/** Broadcast and multicast. */
export const manyReceivers: FieldMatch = { value: 1n << 40n, mask: 1n << 40n };
export const untagged = { vlan_vid: 0 } as const;

/** Of a tag where none may be; of the second one the switch may see the type alone. */
export const stillTagged: readonly Fields[] = [
  { vlan_vid: { value: 0x1000n, mask: 0x1000n } },
  { eth_type: ethernet.vlan },
  { eth_type: ethernet.serviceVlan },
];

export function taggedWith(vlan: number): Fields {
  return { vlan_vid: 0x1000 | vlan };
}

/** undefined: any address. */
export function within(cidr: Cidr): FieldMatch | undefined {
  if (cidr.prefixLength === 0) return undefined;
  if (cidr.prefixLength === bitsOf[cidr.family]) return { value: cidr.value };
  return { value: cidr.value, mask: prefixMask(cidr.family, cidr.prefixLength) };
}

/** Guests ask for addresses before they have one. */
export const dhcpRequest = { ...ip.ipv4, ip_proto: protocol.udp, udp_src: 68, udp_dst: 67 } as const;
export const dhcpReply = { ...ip.ipv4, ip_proto: protocol.udp, udp_src: 67, udp_dst: 68 } as const;
export const dhcpv6Request = { ...ip.ipv6, ip_proto: protocol.udp, udp_src: 546, udp_dst: 547 } as const;
export const dhcpv6Reply = { ...ip.ipv6, ip_proto: protocol.udp, udp_src: 547, udp_dst: 546 } as const;

/** The part of a packet with its beginning, where it was sent in several. */
export const firstPart = { nw_frag: 1 } as const;

/** Of TCP: does not open a connection. */
export const midway: Fields = { tcp_flags: { value: 0n, mask: 0x002n } };

const ctBits = { new: 0x01n, est: 0x02n, rel: 0x04n, rpl: 0x08n, inv: 0x10n, trk: 0x20n, snat: 0x40n } as const;

/** Tracked, and in all these states. */
export function tracked(...states: readonly ('new' | 'est' | 'rel' | 'inv' | 'snat')[]): {
  readonly ct_state: FieldMatch;
} {
  const bits = states.reduce<bigint>((sum, state) => sum | ctBits[state], ctBits.trk);
  return { ct_state: { value: bits, mask: bits } };
}
