/** Flows that together use every field, mask and action of `flow.ts`, for tests on a real switch. */
import type { Action, FieldMatch, FieldName, Flow, Match } from '../flow.ts';

export const v = (value: bigint, mask?: bigint): FieldMatch => ({ value, mask });
const bits = (field: FieldName, start: number, count: number) => ({ field, start, count });
const set = (to: FieldName, value: bigint, mask?: bigint): Action => ({ do: 'set', to, value, mask });

const ipv4: Match = { eth_type: v(0x0800n) };
const ipv6: Match = { eth_type: v(0x86ddn) };
const arp: Match = { eth_type: v(0x0806n) };
const tcp: Match = { ...ipv4, ip_proto: v(6n) };
const udp6: Match = { ...ipv6, ip_proto: v(17n) };
const sctp: Match = { ...ipv4, ip_proto: v(132n) };
const icmp: Match = { ...ipv4, ip_proto: v(1n) };
const icmp6: Match = { ...ipv6, ip_proto: v(58n) };
const solicit: Match = { ...icmp6, icmpv6_type: v(135n), icmpv6_code: v(0n) };
const advert: Match = { ...icmp6, icmpv6_type: v(136n), icmpv6_code: v(0n) };
const address6 = 0xfe80_0000_0000_0000_0000_0000_0000_0001n;
const mac = 0x0200_0000_00ffn;

export const meterOfEveryFlow = { meterId: 5, rateKbps: 1000, burstKb: 500 };
/** Must exist before. */
export const groupOfEveryFlow = 7;

const contents: readonly (readonly [Match, readonly Action[]])[] = [
  [{}, []],
  [
    { in_port: v(3n) },
    [
      { do: 'output', port: 'in_port' },
      { do: 'output', port: 'local' },
      { do: 'output', port: 4 },
    ],
  ],
  [
    { in_port: v(0xfffffffen) },
    [
      { do: 'output', port: 'normal' },
      { do: 'output', port: 'flood' },
    ],
  ],
  [{ in_port: v(0xfffffffdn) }, [{ do: 'output', port: 'controller' }]],
  [{ metadata: v(0x1234n) }, [set('metadata', 5n), set('metadata', 0x0fn << 60n, 0xffn << 56n)]],
  [{ metadata: v(0x100n, 0xf00n) }, [set('in_port', 0n), set('in_port', 9n), set('in_port', 0xfffffffen)]],
  [{ tun_id: v(16777214n) }, [set('tun_id', 0xfffffen)]],
  [{ tun_id: v(0n, 1n) }, [set('tun_id', 5n, 0xffn)]],
  [
    { tun_src: v(0x0a000001n), tun_dst: v(0x0a000000n, 0xff000000n) },
    [set('tun_src', 1n), set('tun_dst', 0x0a000002n)],
  ],
  [{ eth_src: v(mac), eth_dst: v(1n << 40n, 1n << 40n) }, [set('eth_src', mac), set('eth_dst', 1n << 40n, 1n << 40n)]],
  [{ eth_type: v(0x88ccn) }, [{ do: 'push-vlan' }, set('vlan_vid', 0x1064n), { do: 'pop-vlan' }]],
  [{ vlan_vid: v(0n) }, []],
  [{ vlan_vid: v(0x1064n) }, [{ do: 'pop-vlan' }]],
  [{ vlan_vid: v(0x1000n, 0x1000n) }, []],
  [{ vlan_vid: v(0x1004n, 0x100fn) }, [set('vlan_vid', 0x1004n)]],
  [
    { ...ipv4, ip_proto: v(47n), ip_dscp: v(46n), nw_ttl: v(1n) },
    [set('ip_dscp', 10n), set('nw_ttl', 64n), { do: 'dec-ttl' }],
  ],
  [
    { ...ipv4, ipv4_src: v(0xc0a80000n, 0xffff0000n), ipv4_dst: v(0xc0a80101n) },
    [set('ipv4_src', 1n), set('ipv4_dst', 2n)],
  ],
  [{ ...ipv4, ipv4_src: v(1n, 0xff0000ffn) }, [set('ipv4_dst', 10n << 24n, 0xffn << 24n)]],
  [
    { ...ipv6, ipv6_src: v(address6), ipv6_dst: v(0xfe80n << 112n, 0xffc0n << 112n) },
    [set('ipv6_src', 1n), set('ipv6_dst', address6)],
  ],
  [
    { ...tcp, tcp_src: v(80n), tcp_dst: v(0x50n, 0xfff0n), tcp_flags: v(0x02n, 0x12n) },
    [set('tcp_src', 81n), set('tcp_dst', 443n)],
  ],
  [{ ...tcp, tcp_flags: v(0x12n) }, [set('tcp_dst', 0x100n, 0xff00n)]],
  [{ ...udp6, udp_src: v(53n), udp_dst: v(0x8000n, 0x8000n) }, [set('udp_src', 54n), set('udp_dst', 55n)]],
  [{ ...sctp, sctp_src: v(1n), sctp_dst: v(2n) }, [set('sctp_src', 3n), set('sctp_dst', 4n)]],
  [{ ...icmp, icmpv4_type: v(8n), icmpv4_code: v(0n) }, [set('icmpv4_type', 0n), set('icmpv4_code', 1n)]],
  [{ ...icmp6, icmpv6_type: v(128n), icmpv6_code: v(0n) }, [set('icmpv6_type', 129n), set('icmpv6_code', 0n)]],
  [
    { ...arp, arp_op: v(1n), arp_spa: v(1n), arp_tpa: v(0x0a000000n, 0xff000000n), arp_sha: v(mac), arp_tha: v(0n) },
    [
      set('arp_op', 2n),
      set('arp_sha', mac),
      set('arp_spa', 0x0a000001n),
      { do: 'move', from: bits('eth_src', 0, 48), to: bits('eth_dst', 0, 48) },
      { do: 'move', from: bits('arp_sha', 0, 48), to: bits('arp_tha', 0, 48) },
      { do: 'move', from: bits('arp_spa', 0, 32), to: bits('arp_tpa', 0, 32) },
      { do: 'output', port: 'in_port' },
    ],
  ],
  [
    { ...solicit, nd_target: v(address6), nd_sll: v(mac) },
    [
      set('icmpv6_type', 136n),
      set('nd_target', 1n),
      set('nd_sll', mac),
      set('nd_options_type', 2n),
      set('nd_reserved', 6n << 28n),
    ],
  ],
  [
    { ...solicit, nd_reserved: v(0n), nd_options_type: v(1n) },
    [{ do: 'move', from: bits('ipv6_src', 0, 128), to: bits('ipv6_dst', 0, 128) }],
  ],
  [{ ...advert, nd_target: v(1n), nd_tll: v(2n << 40n, 0xffffff000000n) }, [set('nd_tll', mac)]],
  [{ ...ipv4, ct_state: v(0x22n, 0x22n), ct_zone: v(20n), ct_mark: v(20n), ct_label: v(3n) }, []],
  [{ ...ipv4, ct_state: v(0x21n, 0x31n), ct_mark: v(1n, 0xffn), ct_label: v(1n << 100n, 0xfn << 100n) }, []],
  [{ ...ipv4, ct_state: v(0x21n) }, []],
  [{ ...ipv4, ct_state: v(0x21n, 0x21n), ct_nw_src: v(0x0a000000n, 0xff000000n), ct_nw_dst: v(0x0a000001n) }, []],
  [{ conj_id: v(9n) }, [{ do: 'resubmit', table: 40 }]],
  [
    { ...ipv4, ipv4_src: v(77n) },
    [
      { do: 'conjunction', id: 9, clause: 1, of: 2 },
      { do: 'conjunction', id: 10, clause: 2, of: 3 },
    ],
  ],
  [{ xxreg1: v(5n) }, [set('xxreg1', 5n), set('xxreg3', 1n << 100n, 0xffn << 96n)]],
  [{ xxreg0: v(1n << 96n, 0xffn << 96n) }, [{ do: 'move', from: bits('xxreg0', 64, 32), to: bits('reg9', 0, 32) }]],
  [
    { reg15: v(7n) },
    [
      { do: 'output-reg', from: bits('reg6', 0, 32) },
      { do: 'output-reg', from: bits('metadata', 16, 16) },
    ],
  ],
  [
    { reg15: v(8n) },
    [
      { do: 'meter', meterId: meterOfEveryFlow.meterId },
      { do: 'resubmit', table: 40 },
    ],
  ],
  [{ reg15: v(9n) }, [{ do: 'group', groupId: groupOfEveryFlow }]],
  [
    { reg15: v(10n) },
    [
      { do: 'clone', actions: [set('reg0', 1n), { do: 'clone', actions: [{ do: 'output', port: 1 }] }] },
      { do: 'output', port: 2 },
    ],
  ],
  [{ reg15: v(11n) }, [{ do: 'meter', meterId: meterOfEveryFlow.meterId }]],
  [
    { reg15: v(12n) },
    [
      { do: 'move', from: bits('in_port', 0, 16), to: bits('reg0', 16, 16) },
      { do: 'move', from: bits('reg0', 3, 1), to: bits('reg1', 4, 1) },
    ],
  ],
  [ipv4, [{ do: 'ct-clear' }, { do: 'ct', commit: false, zone: 0 }]],
  [{ ...ipv4, reg15: v(1n) }, [{ do: 'ct', commit: false, zone: bits('reg5', 0, 16), table: 31, nat: true }]],
  [
    { ...ipv4, reg15: v(2n) },
    [
      {
        do: 'ct',
        commit: true,
        force: true,
        zone: 7,
        table: 5,
        nat: { kind: 'src', addresses: { from: '10.0.0.1', to: '10.0.0.5' }, ports: { from: 1024, to: 2047 } },
        exec: [
          set('ct_mark', 1n),
          set('ct_label', 1n, 0xffn),
          { do: 'move', from: bits('reg0', 0, 32), to: bits('ct_mark', 0, 32) },
        ],
      },
    ],
  ],
  [
    { ...ipv4, reg15: v(3n) },
    [
      {
        do: 'ct',
        commit: true,
        zone: 7,
        nat: { kind: 'dst', addresses: { from: '10.0.0.1', to: '10.0.0.1' }, ports: { from: 80, to: 80 } },
      },
      { do: 'ct', commit: true, zone: 8, nat: { kind: 'src' } },
      { do: 'ct', commit: true, zone: 9, nat: { kind: 'src', addresses: { from: '10.0.0.1', to: '10.0.0.1' } } },
    ],
  ],
  [
    { ...ipv6, reg15: v(4n) },
    [
      {
        do: 'ct',
        commit: true,
        zone: 7,
        nat: { kind: 'src', addresses: { from: 'fe80::1', to: 'fe80::5' }, ports: { from: 5, to: 6 } },
      },
      {
        do: 'ct',
        commit: true,
        zone: 8,
        nat: { kind: 'dst', addresses: { from: '::ffff:1.2.3.4', to: '::ffff:1.2.3.4' } },
      },
    ],
  ],
  [
    { reg15: v(5n) },
    [
      { do: 'controller', userdata: new Uint8Array([0, 1, 255]) },
      { do: 'controller', userdata: new Uint8Array(), maxLength: 64 },
    ],
  ],
  [
    { reg15: v(6n) },
    [{ do: 'controller', userdata: new Uint8Array(13), maxLength: 128, meterId: meterOfEveryFlow.meterId }],
  ],
  [{ nw_ttl: v(1n), ...udp6 }, []],
  [{ ...udp6, nw_frag: v(1n) }, []],
  [{ ...udp6, udp_dst: v(0n, 0xf000n) }, [set('udp_dst', 0n, 0xffn), set('udp_src', 0n)]],
  [{ ...ipv4, ct_label: v(0n, 0xfn), ct_mark: v(0n), ct_zone: v(0n) }, [set('xxreg0', 0n), set('metadata', 0n)]],
  [{ ...ipv4, ct_state: v(0n, 0x20n), tun_id: v(0n), tun_src: v(0n), tun_dst: v(5n, 0xf0fn) }, [set('tun_dst', 0n)]],
  [{ ...ipv6, ipv6_src: v(0n), ipv6_dst: v(0x0f00n << 112n, (0x0f00n << 112n) | 0xffn) }, [set('ipv6_src', 0n, 0xffn)]],
  [{ ...ipv4, ipv4_src: v(0n), ct_state: v(0x80n, 0xc0n) }, [set('eth_src', 0n), set('ipv4_src', 0n, 0xff00ff00n)]],
  [{ ...ipv4, ip_proto: v(0n), ip_dscp: v(0n), nw_ttl: v(0n) }, [set('ip_dscp', 0n), set('nw_ttl', 0n)]],
  [{ eth_type: v(0x0800n), xxreg2: v(0n, 0xffn << 32n) }, []],
  [{ ...arp, arp_op: v(0n), arp_spa: v(0n), arp_tpa: v(0n) }, [set('arp_op', 0n), set('arp_spa', 0n)]],
  [{ ...ipv4, ct_state: v(0n) }, []],
  [{ ...tcp, tcp_flags: v(0n) }, []],
  [{ ...tcp, tcp_flags: v(0xe12n, 0xe12n) }, []],
];

const registers = Array.from({ length: 16 }, (_, n) => `reg${n}` as FieldName);

export const everyFlow: readonly Flow[] = [
  ...contents,
  ...registers.map(
    (name, n) => [{ [name]: v(BigInt(n), 0xffn) }, [set(name, 0xffffffffn), set(name, 4n, 0xfn)]] as const,
  ),
].map(([match, actions], n) => ({ table: 1 + (n % 3), priority: 100 + n, cookie: BigInt(n) << 32n, match, actions }));
