/**
 * A flow as data: what the compiler makes, what the OpenFlow client puts on the wire, and what a person reads in a golden
 * test. Field names are those of `ovs-fields(7)`, actions those of `ovs-actions(7)`.
 *
 * Invariant: two flows with the same table, priority and match are the same flow; the rest is its content.
 */

/**
 * Addresses are numbers too: an IPv4 address is 32 bits, a MAC 48, an IPv6 address 128. In `vlan_vid`, bit 12 (0x1000)
 * says that there is a tag, in matches and in set; 0 matches packets without one. `in_port` has 32 bits as in OpenFlow
 * 1.4: the special ports are 0xfffffff8 and above.
 */
export type FieldName =
  | 'in_port'
  | 'metadata'
  | 'tun_id'
  | 'tun_src'
  | 'tun_dst'
  | 'eth_src'
  | 'eth_dst'
  | 'eth_type'
  | 'vlan_vid'
  | 'ip_proto'
  | 'ip_dscp'
  | 'nw_ttl'
  | 'nw_frag'
  | 'ipv4_src'
  | 'ipv4_dst'
  | 'ipv6_src'
  | 'ipv6_dst'
  | 'tcp_src'
  | 'tcp_dst'
  | 'tcp_flags'
  | 'udp_src'
  | 'udp_dst'
  | 'sctp_src'
  | 'sctp_dst'
  | 'icmpv4_type'
  | 'icmpv4_code'
  | 'icmpv6_type'
  | 'icmpv6_code'
  | 'arp_op'
  | 'arp_spa'
  | 'arp_tpa'
  | 'arp_sha'
  | 'arp_tha'
  | 'nd_target'
  | 'nd_sll'
  | 'nd_tll'
  | 'nd_options_type'
  | 'nd_reserved'
  | 'ct_state'
  | 'ct_zone'
  | 'ct_mark'
  | 'ct_label'
  | 'ct_nw_dst'
  | 'ct_nw_src'
  | 'conj_id'
  | `reg${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15}`
  | `xxreg${0 | 1 | 2 | 3}`;

/** `mask` undefined: all bits. */
export interface FieldMatch {
  readonly value: bigint;
  readonly mask?: bigint;
}

export type Match = { readonly [F in FieldName]?: FieldMatch };

/** Some bits of a field: `start` counts from the least significant. */
export interface Bits {
  readonly field: FieldName;
  readonly start: number;
  readonly count: number;
}

/** Reserved OpenFlow ports. */
export type SpecialPort = 'in_port' | 'local' | 'normal' | 'flood' | 'controller';

export interface Nat {
  readonly kind: 'src' | 'dst';
  /** Absent: translate as the connection already is. */
  readonly addresses?: { readonly from: string; readonly to: string };
  readonly ports?: { readonly from: number; readonly to: number };
}

export type Action =
  | { readonly do: 'output'; readonly port: number | SpecialPort }
  | { readonly do: 'output-reg'; readonly from: Bits }
  | { readonly do: 'set'; readonly to: FieldName; readonly value: bigint; readonly mask?: bigint }
  | { readonly do: 'move'; readonly from: Bits; readonly to: Bits }
  | { readonly do: 'resubmit'; readonly table: number }
  | { readonly do: 'push-vlan' }
  | { readonly do: 'pop-vlan' }
  | { readonly do: 'dec-ttl' }
  | { readonly do: 'meter'; readonly meterId: number }
  | { readonly do: 'group'; readonly groupId: number }
  | { readonly do: 'clone'; readonly actions: readonly Action[] }
  | { readonly do: 'conjunction'; readonly id: number; readonly clause: number; readonly of: number }
  | { readonly do: 'ct-clear' }
  | {
      readonly do: 'ct';
      readonly commit: boolean;
      readonly force?: boolean;
      readonly zone: number | Bits;
      readonly table?: number;
      /** `true`: undo or redo the translation that the connection has. */
      readonly nat?: Nat | true;
      readonly exec?: readonly Action[];
    }
  /** To the agent (packet-in) with these bytes, so that it knows what is asked. */
  | {
      readonly do: 'controller';
      readonly userdata: Uint8Array;
      readonly maxLength?: number;
      readonly meterId?: number;
    };

export interface Flow {
  readonly table: number;
  readonly priority: number;
  /** Says what the flow is for: the same for all flows of one rule, so that counters can be read by rule. */
  readonly cookie: bigint;
  readonly match: Match;
  /** Empty: drop. */
  readonly actions: readonly Action[];
}

/** A rate limit (OpenFlow meter with one drop band). */
export interface Meter {
  readonly meterId: number;
  readonly rateKbps: number;
  readonly burstKb: number;
}

/** Everything that one bridge is to hold. */
export interface FlowTable {
  readonly flows: readonly Flow[];
  readonly meters: readonly Meter[];
}
