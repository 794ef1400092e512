/** Flows on the wire: what is sent to change them, and what the switch lists. */
import type { Flow, Match } from '../flow.ts';
import { checkNumber } from './action-frame.ts';
import { encodeActions } from './actions-codec.ts';
import { FlowEncodingError, OpenFlowError } from './errors.ts';
import { decodeMatch, encodeFields, encodeMatch, recodeFields } from './match-codec.ts';

const command = { add: 0, deleteStrict: 4 } as const;
const instruction = { applyActions: 4, meter: 6 } as const;
const anyPort = 0xffffffff;
const anyGroup = 0xffffffff;
const allTables = 0xff;
const noBuffer = 0xffffffff;
/** The switch takes it for 'leave the cookie as it is'. */
const noCookie = 0xffffffffffffffffn;
const flowModLength = 40;
const flowStatsLength = 48;

/** A flow as the switch lists it. */
export interface InstalledFlow {
  readonly table: number;
  readonly priority: number;
  readonly cookie: bigint;
  /** What of the match we know; `flowKey` tells whether there is more. */
  readonly match: Match;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  /** Timeouts and flags; we use none, so that anything but zeros is foreign. */
  readonly options: string;
  /** Encoded match with padding, to delete it whatever it says. */
  readonly matchBytes: Buffer;
  /** To be compared with `encodeInstructions`. */
  readonly instructionBytes: Buffer;
  /** Equal for flows with the same table, priority and match. */
  readonly key: string;
}

export interface FlowFilter {
  readonly table?: number;
  readonly cookie?: bigint;
  /** Default: all bits of the cookie, if there is one. */
  readonly cookieMask?: bigint;
}

/** Equal for flows with the same table, priority and match. @throws FlowEncodingError */
export function flowKey(flow: Pick<Flow, 'table' | 'priority' | 'match'>): string {
  return keyOf(flow.table, flow.priority, encodeFields(flow.match));
}

/** Adds the flow, or changes cookie and actions of the one that stands there, whose counters go on. @throws FlowEncodingError */
export function encodeAdd(flow: Flow): Buffer {
  if (flow.cookie < 0n || flow.cookie >= noCookie) throw new FlowEncodingError(`${flow.cookie} is no cookie`);
  const head = encodeFlowMod(flow, command.add, flow.cookie);
  return Buffer.concat([head, encodeMatch(flow.match), encodeInstructions(flow)]);
}

export function encodeDelete(flow: Pick<InstalledFlow, 'table' | 'priority' | 'matchBytes'>): Buffer {
  return Buffer.concat([encodeFlowMod(flow, command.deleteStrict, 0n), flow.matchBytes]);
}

/** A meter comes as an instruction of its own before the actions. @throws FlowEncodingError */
export function encodeInstructions(flow: Flow): Buffer {
  const [first, ...rest] = flow.actions;
  const meter = first?.do === 'meter' ? encodeMeter(first.meterId) : Buffer.alloc(0);
  const actions = encodeActions(first?.do === 'meter' ? rest : flow.actions, { match: flow.match });
  if (actions.length === 0) return meter;
  const head = Buffer.alloc(8);
  head.writeUInt16BE(instruction.applyActions, 0);
  head.writeUInt16BE(8 + actions.length, 2);
  return Buffer.concat([meter, head, actions]);
}

/** Body of a request for flows. */
export function encodeFlowRequest({ table = allTables, cookie, cookieMask }: FlowFilter): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt8(table, 0);
  head.writeUInt32BE(anyPort, 4);
  head.writeUInt32BE(anyGroup, 8);
  head.writeBigUInt64BE(cookie ?? 0n, 16);
  head.writeBigUInt64BE(cookieMask ?? (cookie === undefined ? 0n : 0xffffffffffffffffn), 24);
  return Buffer.concat([head, encodeMatch({})]);
}

/** One part of the answer. @throws OpenFlowError `malformed` */
export function decodeFlows(body: Buffer): InstalledFlow[] {
  const flows: InstalledFlow[] = [];
  let at = 0;
  while (at < body.length) {
    const length = body.length - at < flowStatsLength ? 0 : body.readUInt16BE(at);
    if (length < flowStatsLength || at + length > body.length) {
      throw new OpenFlowError('malformed', 'a list of flows is cut off');
    }
    flows.push(decodeFlow(body.subarray(at, at + length)));
    at += length;
  }
  return flows;
}

function decodeFlow(bytes: Buffer): InstalledFlow {
  const table = bytes.readUInt8(2);
  const priority = bytes.readUInt16BE(12);
  const { match, unknown, length } = decodeMatch(bytes.subarray(flowStatsLength));
  const instructionsAt = flowStatsLength + length;
  return {
    table,
    priority,
    cookie: bytes.readBigUInt64BE(24),
    match,
    packetCount: bytes.readBigUInt64BE(32),
    byteCount: bytes.readBigUInt64BE(40),
    options: bytes.toString('hex', 14, 22),
    matchBytes: bytes.subarray(flowStatsLength, instructionsAt),
    instructionBytes: bytes.subarray(instructionsAt),
    key: keyOf(table, priority, recodeFields({ match, unknown })),
  };
}

function keyOf(table: number, priority: number, matchFields: Buffer): string {
  return `${table}/${priority}/${matchFields.toString('latin1')}`;
}

function encodeFlowMod(flow: Pick<Flow, 'table' | 'priority'>, modCommand: number, cookie: bigint): Buffer {
  const out = Buffer.alloc(flowModLength);
  out.writeBigUInt64BE(cookie, 0);
  out.writeUInt8(checkNumber(flow.table, 0, 0xfe, 'a table'), 16);
  out.writeUInt8(modCommand, 17);
  out.writeUInt16BE(checkNumber(flow.priority, 0, 0xffff, 'a priority'), 22);
  out.writeUInt32BE(noBuffer, 24);
  out.writeUInt32BE(anyPort, 28);
  out.writeUInt32BE(anyGroup, 32);
  return out;
}

function encodeMeter(meterId: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt16BE(instruction.meter, 0);
  out.writeUInt16BE(8, 2);
  out.writeUInt32BE(checkNumber(meterId, 1, 0xffff0000, 'a meter'), 4);
  return out;
}
