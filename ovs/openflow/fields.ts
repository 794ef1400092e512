/**
 * What Open vSwitch knows of each field: its codes on the wire, its width, what a match on it presupposes and how it is
 * shown. Numbers and names are those of `ovs-fields(7)`. Matches travel with the OXM code where there is one, the
 * Nicira actions name fields by their NXM code: that is what the switch itself answers, so that what we send and what it
 * lists can be compared byte for byte.
 */
import type { FieldName } from '../flow.ts';

/** OXM class and field number. */
export interface FieldCode {
  readonly class: number;
  readonly field: number;
}

export type Notation = 'decimal' | 'hex' | 'mac' | 'ipv4' | 'ipv6' | 'port' | 'ct-state' | 'tcp-flags' | 'fragment';

/** What the match must say so that the field exists in the packet. */
export type Prerequisite =
  | 'ipv4'
  | 'ipv6'
  | 'ip'
  | 'arp'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'nd-solicit'
  | 'nd-advert'
  | 'conntrack';

export interface FieldInfo {
  readonly bits: number;
  readonly notation: Notation;
  /** Code in a match and in set-field. */
  readonly match: FieldCode;
  /** Code in Nicira actions. */
  readonly action: FieldCode;
  /** Width under that code: `in_port` has 16 bits there. */
  readonly actionBits: number;
  /** How `ovs-ofctl` calls some bits of it, as in `NXM_NX_REG0[0..15]`. */
  readonly actionName: string;
  readonly needs: Prerequisite | null;
  readonly maskable: boolean;
  readonly writable: boolean;
}

const basic = 0x8000;
const nxmOf = 0x0000;
const nxmNx = 0x0001;
const ericsson = 0x1000;

type Codes = { readonly oxm?: number; readonly of?: number; readonly nx?: number; readonly ericsson?: number };
type Traits = {
  readonly needs?: Prerequisite;
  readonly whole?: true;
  readonly readOnly?: true;
  readonly actionBits?: number;
};

/** `whole`: cannot be matched in part. */
function field(bits: number, notation: Notation, actionName: string, codes: Codes, traits: Traits = {}): FieldInfo {
  const candidates: (FieldCode | false)[] = [
    codes.oxm !== undefined && { class: basic, field: codes.oxm },
    codes.of !== undefined && { class: nxmOf, field: codes.of },
    codes.nx !== undefined && { class: nxmNx, field: codes.nx },
    codes.ericsson !== undefined && { class: ericsson, field: codes.ericsson },
  ];
  const known = candidates.filter((code) => code !== false);
  return {
    bits,
    notation,
    match: known[0]!,
    action: known.find((code) => code.class !== basic) ?? known[0]!,
    actionBits: traits.actionBits ?? bits,
    actionName,
    needs: traits.needs ?? null,
    maskable: traits.whole !== true,
    writable: traits.readOnly !== true,
  };
}

type Register = Extract<FieldName, `reg${number}` | `xxreg${number}`>;

function registers(): Record<Register, FieldInfo> {
  const made: [string, FieldInfo][] = [];
  for (let n = 0; n < 16; n++) made.push([`reg${n}`, field(32, 'hex', `NXM_NX_REG${n}`, { nx: n })]);
  for (let n = 0; n < 4; n++) made.push([`xxreg${n}`, field(128, 'hex', `NXM_NX_XXREG${n}`, { nx: 111 + n })]);
  return Object.fromEntries(made) as Record<Register, FieldInfo>;
}

export const fields: Readonly<Record<FieldName, FieldInfo>> = {
  in_port: field(32, 'port', 'NXM_OF_IN_PORT', { oxm: 0, of: 0 }, { whole: true, actionBits: 16 }),
  metadata: field(64, 'hex', 'OXM_OF_METADATA', { oxm: 2 }),
  tun_id: field(64, 'hex', 'NXM_NX_TUN_ID', { oxm: 38, nx: 16 }),
  tun_src: field(32, 'ipv4', 'NXM_NX_TUN_IPV4_SRC', { nx: 31 }),
  tun_dst: field(32, 'ipv4', 'NXM_NX_TUN_IPV4_DST', { nx: 32 }),
  eth_src: field(48, 'mac', 'NXM_OF_ETH_SRC', { oxm: 4, of: 2 }),
  eth_dst: field(48, 'mac', 'NXM_OF_ETH_DST', { oxm: 3, of: 1 }),
  eth_type: field(16, 'hex', 'NXM_OF_ETH_TYPE', { oxm: 5, of: 3 }, { whole: true, readOnly: true }),
  vlan_vid: field(13, 'decimal', 'OXM_OF_VLAN_VID', { oxm: 6 }),
  ip_proto: field(8, 'decimal', 'NXM_OF_IP_PROTO', { oxm: 10, of: 6 }, { needs: 'ip', whole: true, readOnly: true }),
  ip_dscp: field(6, 'decimal', 'OXM_OF_IP_DSCP', { oxm: 8 }, { needs: 'ip', whole: true }),
  nw_ttl: field(8, 'decimal', 'NXM_NX_IP_TTL', { nx: 29 }, { needs: 'ip', whole: true }),
  nw_frag: field(8, 'fragment', 'NXM_NX_IP_FRAG', { nx: 26 }, { needs: 'ip', whole: true, readOnly: true }),
  ipv4_src: field(32, 'ipv4', 'NXM_OF_IP_SRC', { oxm: 11, of: 7 }, { needs: 'ipv4' }),
  ipv4_dst: field(32, 'ipv4', 'NXM_OF_IP_DST', { oxm: 12, of: 8 }, { needs: 'ipv4' }),
  ipv6_src: field(128, 'ipv6', 'NXM_NX_IPV6_SRC', { oxm: 26, nx: 19 }, { needs: 'ipv6' }),
  ipv6_dst: field(128, 'ipv6', 'NXM_NX_IPV6_DST', { oxm: 27, nx: 20 }, { needs: 'ipv6' }),
  tcp_src: field(16, 'decimal', 'NXM_OF_TCP_SRC', { oxm: 13, of: 9 }, { needs: 'tcp' }),
  tcp_dst: field(16, 'decimal', 'NXM_OF_TCP_DST', { oxm: 14, of: 10 }, { needs: 'tcp' }),
  tcp_flags: field(12, 'tcp-flags', 'NXM_NX_TCP_FLAGS', { nx: 34 }, { needs: 'tcp', readOnly: true }),
  udp_src: field(16, 'decimal', 'NXM_OF_UDP_SRC', { oxm: 15, of: 11 }, { needs: 'udp' }),
  udp_dst: field(16, 'decimal', 'NXM_OF_UDP_DST', { oxm: 16, of: 12 }, { needs: 'udp' }),
  sctp_src: field(16, 'decimal', 'OXM_OF_SCTP_SRC', { oxm: 17 }, { needs: 'sctp' }),
  sctp_dst: field(16, 'decimal', 'OXM_OF_SCTP_DST', { oxm: 18 }, { needs: 'sctp' }),
  icmpv4_type: field(8, 'decimal', 'NXM_OF_ICMP_TYPE', { oxm: 19, of: 13 }, { needs: 'icmpv4', whole: true }),
  icmpv4_code: field(8, 'decimal', 'NXM_OF_ICMP_CODE', { oxm: 20, of: 14 }, { needs: 'icmpv4', whole: true }),
  icmpv6_type: field(8, 'decimal', 'NXM_NX_ICMPV6_TYPE', { oxm: 29, nx: 21 }, { needs: 'icmpv6', whole: true }),
  icmpv6_code: field(8, 'decimal', 'NXM_NX_ICMPV6_CODE', { oxm: 30, nx: 22 }, { needs: 'icmpv6', whole: true }),
  arp_op: field(16, 'decimal', 'NXM_OF_ARP_OP', { oxm: 21, of: 15 }, { needs: 'arp', whole: true }),
  arp_spa: field(32, 'ipv4', 'NXM_OF_ARP_SPA', { oxm: 22, of: 16 }, { needs: 'arp' }),
  arp_tpa: field(32, 'ipv4', 'NXM_OF_ARP_TPA', { oxm: 23, of: 17 }, { needs: 'arp' }),
  arp_sha: field(48, 'mac', 'NXM_NX_ARP_SHA', { oxm: 24, nx: 17 }, { needs: 'arp' }),
  arp_tha: field(48, 'mac', 'NXM_NX_ARP_THA', { oxm: 25, nx: 18 }, { needs: 'arp' }),
  nd_target: field(128, 'ipv6', 'NXM_NX_ND_TARGET', { oxm: 31, nx: 23 }, { needs: 'nd' }),
  nd_sll: field(48, 'mac', 'NXM_NX_ND_SLL', { oxm: 32, nx: 24 }, { needs: 'nd-solicit' }),
  nd_tll: field(48, 'mac', 'NXM_NX_ND_TLL', { oxm: 33, nx: 25 }, { needs: 'nd-advert' }),
  nd_reserved: field(32, 'decimal', 'ERICOXM_OF_ICMPV6_ND_RESERVED', { ericsson: 1 }, { needs: 'nd', whole: true }),
  nd_options_type: field(
    8,
    'decimal',
    'ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE',
    { ericsson: 2 },
    { needs: 'nd', whole: true },
  ),
  ct_state: field(32, 'ct-state', 'NXM_NX_CT_STATE', { nx: 105 }, { readOnly: true }),
  ct_zone: field(16, 'decimal', 'NXM_NX_CT_ZONE', { nx: 106 }, { whole: true, readOnly: true }),
  ct_mark: field(32, 'hex', 'NXM_NX_CT_MARK', { nx: 107 }),
  ct_label: field(128, 'hex', 'NXM_NX_CT_LABEL', { nx: 108 }),
  ct_nw_src: field(32, 'ipv4', 'NXM_NX_CT_NW_SRC', { nx: 120 }, { needs: 'conntrack', readOnly: true }),
  ct_nw_dst: field(32, 'ipv4', 'NXM_NX_CT_NW_DST', { nx: 121 }, { needs: 'conntrack', readOnly: true }),
  conj_id: field(32, 'decimal', 'NXM_NX_CONJ_ID', { nx: 37 }, { whole: true, readOnly: true }),
  ...registers(),
};

export function allOnes(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

const names = Object.keys(fields) as readonly FieldName[];
const positions = new Map(names.map((name, position) => [name, position]));

/** What a field presupposes has a lower position. */
export function fieldPosition(name: FieldName): number {
  return positions.get(name) ?? names.length;
}

export const fieldNames = names;
