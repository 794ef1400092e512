/** The actions that the stages are written with. */
import type { Action, Bits, FieldName } from '../flow.ts';
import { register, table } from './pipeline.ts';

const widths: { readonly [F in FieldName]?: number } = {
  eth_src: 48,
  eth_dst: 48,
  arp_op: 16,
  arp_spa: 32,
  arp_tpa: 32,
  arp_sha: 48,
  arp_tha: 48,
  ipv4_src: 32,
  ipv4_dst: 32,
  ipv6_src: 128,
  ipv6_dst: 128,
  tun_src: 32,
  tun_dst: 32,
};

export function set(to: FieldName, value: bigint | number): Action {
  return { do: 'set', to, value: BigInt(value) };
}

export function resubmit(to: number): Action {
  return { do: 'resubmit', table: to };
}

export function output(port: number): Action {
  return { do: 'output', port };
}

export function clone(actions: readonly Action[]): Action {
  return { do: 'clone', actions };
}

/** All bits of a field, or of a register as many as the other side has. */
export function move(from: FieldName, to: FieldName): Action {
  const count = widths[from] ?? widths[to] ?? 32;
  return { do: 'move', from: all(from, count), to: all(to, count) };
}

/** Exchanges two fields of the same kind by way of a register that nobody needs here. */
export function swap(one: FieldName, other: FieldName, spare: FieldName): Action[] {
  return [move(one, spare), move(other, one), move(spare, other)];
}

/** Lets a packet leave by the port that it came in by: Open vSwitch would drop it. */
export const forgetInPort = set('in_port', 0);

/** Answers a guest: to where the packet came from, with the guest's VLAN tag if it is a trunk's. */
export const backToSender: readonly Action[] = [
  { do: 'move', from: all(register.from, 16), to: all(register.to, 16) },
  forgetInPort,
  resubmit(table.output),
];

/** The number of a port in a register, as the zone of its connections. */
export function zoneIn(field: FieldName): Bits {
  return all(field, 16);
}

export function tagged(vlan: number): Action[] {
  return [{ do: 'push-vlan' }, set('vlan_vid', 0x1000 | vlan)];
}

/** Makes an ARP request its own answer. */
export function arpAnswer(mac: bigint, address: bigint): Action[] {
  return [
    move('eth_src', 'eth_dst'),
    set('eth_src', mac),
    set('arp_op', 2),
    move('arp_sha', 'arp_tha'),
    move('arp_spa', 'arp_tpa'),
    set('arp_sha', mac),
    set('arp_spa', address),
  ];
}

function all(field: FieldName, count: number): Bits {
  return { field, start: 0, count };
}
