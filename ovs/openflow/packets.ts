/**
 * Packets from the switch (`NXT_PACKET_IN2`, which unlike OpenFlow's own form carries the userdata of the action and the
 * registers) and to it.
 */
import { specialPorts } from '../format-value.ts';
import type { Action, Match, SpecialPort } from '../flow.ts';
import { encodeActions } from './actions-codec.ts';
import { OpenFlowError } from './errors.ts';
import { decodeFields } from './match-codec.ts';
import { entries, type Message, messageType, niciraVendor } from './message.ts';

const packetInSubtype = 30;
const setFormatSubtype = 16;
const formatPacketIn2 = 2;
const noBuffer = 0xffffffff;
const property = { packet: 0, fullLength: 1, tableId: 3, cookie: 4, metadata: 6, userdata: 7 } as const;

export interface PacketIn {
  readonly data: Buffer;
  /** Of the whole packet; `data` may be shorter when the action has a `maxLength`. */
  readonly fullLength: number;
  readonly userdata: Buffer;
  readonly table: number;
  readonly cookie: bigint;
  /** `in_port`, `metadata`, registers, tunnel and conntrack fields, as far as they are not 0. */
  readonly fields: Match;
  /** OpenFlow port where the packet came in; 0 if it is not known. */
  readonly inPort: number;
}

export interface PacketOut {
  /** Where the packet pretends to come from; default: the controller. */
  readonly inPort?: number | SpecialPort;
  /** May begin with `set` of registers and end with `resubmit`, so that the pipeline goes on with it. */
  readonly actions: readonly Action[];
  readonly data: Uint8Array;
}

/** Body of the request that asks for packets in the form with userdata. */
export function encodePacketInFormat(): Buffer {
  const out = Buffer.alloc(12);
  out.writeUInt32BE(niciraVendor, 0);
  out.writeUInt32BE(setFormatSubtype, 4);
  out.writeUInt32BE(formatPacketIn2, 8);
  return out;
}

/** `null` for any other message. @throws RangeError, OpenFlowError on nonsense */
export function decodePacketIn({ type, body }: Message): PacketIn | null {
  if (type !== messageType.experimenter || body.length < 8) return null;
  if (body.readUInt32BE(0) !== niciraVendor || body.readUInt32BE(4) !== packetInSubtype) return null;
  const found = new Map<number, Buffer>();
  for (const entry of entries(body.subarray(8), 8)) found.set(entry.type, entry.value);
  const data = found.get(property.packet);
  if (data === undefined) throw new OpenFlowError('malformed', 'a packet from the switch has no bytes');
  const { match } = decodeFields(found.get(property.metadata) ?? Buffer.alloc(0));
  return {
    data,
    fullLength: found.get(property.fullLength)?.readUInt32BE(0) ?? data.length,
    userdata: found.get(property.userdata) ?? Buffer.alloc(0),
    table: found.get(property.tableId)?.readUInt8(0) ?? 0,
    cookie: found.get(property.cookie)?.readBigUInt64BE(4) ?? 0n,
    fields: match,
    inPort: Number(match.in_port?.value ?? 0n),
  };
}

/** @throws FlowEncodingError */
export function encodePacketOut({ inPort = 'controller', actions, data }: PacketOut): Buffer {
  const encoded = encodeActions(actions, { match: null });
  const head = Buffer.alloc(16);
  head.writeUInt32BE(noBuffer, 0);
  head.writeUInt32BE(typeof inPort === 'number' ? inPort : specialPorts[inPort], 4);
  head.writeUInt16BE(encoded.length, 8);
  return Buffer.concat([head, encoded, data]);
}
