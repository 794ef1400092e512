/**
 * The distributed switch of one host: its slice is sent whole with a generation and applied as a difference; the newest wins.
 * Whole means by its outline: documents that the host has already are only named.
 * Beside it what a host can say of its part: counters of ports, and what the flows would do to a packet.
 */
import { type Static, Type } from 'typebox';
import { closed, Id, MacAddress, nullable, oneOf } from '../schema.ts';
import { change, query } from './method.ts';
import { SliceCut } from './network-slice.ts';
import { DocumentDigest, NamedDocument, SliceOutline } from './slice-outline.ts';

/** What was cut at one port (`guestVlan`: of a trunk). */
export const PortCuts = closed({
  nicId: Id,
  guestVlan: nullable(Type.Integer()),
  cuts: Type.Array(SliceCut),
});
export type PortCuts = Static<typeof PortCuts>;

export const networkApply = change(
  'network.apply',
  'Be exactly this; an older generation is refused (`wrong-state`). Answered when the flows are in force, or with what is missing',
  /** `documents`: what the host is thought to lack. */
  closed({ generation: Type.Integer(), outline: SliceOutline, documents: Type.Array(NamedDocument) }),
  /**
   * `missing`: not empty: nothing was done, say it again with these documents. `cuts`: the slice does not have them yet; said again
   * with each answer until it does.
   */
  closed({
    generation: Type.Integer(),
    missing: Type.Array(DocumentDigest),
    cuts: Type.Optional(Type.Array(PortCuts)),
  }),
);

const Count = Type.Integer({ minimum: 0 });
const Traffic = closed({ packets: Count, bytes: Count, dropped: Count });

export const PortCounters = closed({
  nicId: Id,
  /** As the guest sees it; `dropped`: by the device and by limits of rate, not by rules. */
  fromVm: Traffic,
  toVm: Traffic,
  /** What rules let through (`ruleId`) and what was dropped (`reason`, e.g. `anti-spoofing`, `no rule lets it in`). */
  rules: Type.Array(closed({ ruleId: Id, packets: Count, bytes: Count })),
  drops: Type.Array(closed({ reason: Type.String(), packets: Count, bytes: Count })),
});
export type PortCounters = Static<typeof PortCounters>;

export const portCounters = query(
  'port.counters',
  'Counters of ports that are plugged in here; others are left out',
  closed({ nicIds: Type.Array(Id, { maxItems: 1000 }) }),
  closed({ ports: Type.Array(PortCounters) }),
);

const Address = Type.String({ maxLength: 45 });
const PortNumber = Type.Integer({ minimum: 0, maximum: 65_535 });

export const TracePacket = closed({
  /** IP protocol number: 1 icmp, 6 tcp, 17 udp, 58 icmpv6. */
  protocol: Type.Integer({ minimum: 0, maximum: 255 }),
  sourceMac: MacAddress,
  destinationMac: MacAddress,
  sourceAddress: Address,
  destinationAddress: Address,
  /** Of tcp and udp; else null. */
  sourcePort: nullable(PortNumber),
  destinationPort: nullable(PortNumber),
});
export type TracePacket = Static<typeof TracePacket>;

export const TraceHop = closed({
  /** Name of the table or stage: `anti-spoofing`, `rules out`, `router`, `rules in`, `delivery` … */
  stage: Type.String(),
  /** For people. */
  text: Type.String(),
  /** The security group rule that decided here; null: none. */
  ruleId: nullable(Id),
  /** Of the flow that matched, `0x…`. */
  cookie: nullable(Type.String()),
});
export type TraceHop = Static<typeof TraceHop>;

export const TraceResult = closed({
  hops: Type.Array(TraceHop),
  verdict: oneOf(['delivered', 'dropped', 'sent'] as const),
  /** delivered: to this NIC; sent: to this VTEP on this network, or out by an uplink; dropped: null. */
  to: nullable(
    Type.Union([
      closed({ nicId: Id }),
      closed({ vtep: Address, networkId: Id }),
      closed({ uplink: Type.String(), networkId: Id }),
    ]),
  ),
  /** Why, in a few words; null unless dropped. */
  droppedBy: nullable(Type.String()),
  /** As it leaves, where a router or a translation changed it; null: as it came. */
  packet: nullable(TracePacket),
});
export type TraceResult = Static<typeof TraceResult>;

export const networkTrace = query(
  'network.trace',
  'Say what the flows do to the first packet of a session: from a port here, or as it arrives from a tunnel or an uplink',
  closed({
    from: Type.Union([
      closed({ nicId: Id }),
      closed({ vtep: Address, networkId: Id }),
      closed({ uplinkOfNetworkId: Id }),
    ]),
    packet: TracePacket,
  }),
  TraceResult,
);
