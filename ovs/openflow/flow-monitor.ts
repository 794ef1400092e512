/**
 * OpenFlow 1.4 flow monitoring: the switch tells of every flow that somebody adds, changes or removes. Of what we do
 * ourselves over the same connection it sends only an abbreviation, so foreign hands are told from our own.
 */
import type { Match } from '../flow.ts';
import { OpenFlowError } from './errors.ts';
import { decodeMatch, encodeMatch } from './match-codec.ts';
import { type Message, messageType, multipartType } from './message.ts';

const monitorId = 1;
const any = 0xffffffff;
const allTables = 0xff;
const added = 1 << 1;
const removed = 1 << 2;
const modified = 1 << 3;
const changeOf: Readonly<Record<number, FlowChange['change']>> = {
  1: 'added',
  2: 'removed',
  3: 'modified',
  // The switch had more to tell than we read: afterwards it sends what has changed meanwhile.
  5: 'missed',
  6: 'missed',
};
const headLength = 4;
const fullLength = 24;

/** `missed`: something changed, look yourself. */
export type FlowChange =
  | { readonly change: 'missed' }
  | {
      readonly change: 'added' | 'removed' | 'modified';
      readonly table: number;
      readonly priority: number;
      readonly cookie: bigint;
      readonly match: Match;
    };

/** Body of the request that starts it for all tables. */
export function encodeMonitorRequest(): Buffer {
  const out = Buffer.alloc(16);
  out.writeUInt32BE(monitorId, 0);
  out.writeUInt32BE(any, 4);
  out.writeUInt32BE(any, 8);
  out.writeUInt16BE(added | removed | modified, 12);
  out.writeUInt8(allTables, 14);
  return Buffer.concat([out, encodeMatch({})]);
}

/** Changes by others; empty for any other message. @throws OpenFlowError `malformed` */
export function decodeFlowChanges({ type, body }: Message): FlowChange[] {
  if (type !== messageType.multipartReply || body.readUInt16BE(0) !== multipartType.flowMonitor) return [];
  const found: FlowChange[] = [];
  let at = 8;
  while (at < body.length) {
    const length = body.length - at < headLength ? 0 : body.readUInt16BE(at);
    if (length < headLength || at + length > body.length) {
      throw new OpenFlowError('malformed', 'a list of flow changes is cut off');
    }
    const change = changeOf[body.readUInt16BE(at + 2)];
    if (change !== undefined) found.push(decodeChange(change, body.subarray(at, at + length)));
    at += length;
  }
  return found;
}

function decodeChange(change: FlowChange['change'], bytes: Buffer): FlowChange {
  if (change === 'missed' || bytes.length < fullLength) return { change: 'missed' };
  return {
    change,
    table: bytes.readUInt8(4),
    priority: bytes.readUInt16BE(10),
    cookie: bytes.readBigUInt64BE(16),
    match: decodeMatch(bytes.subarray(fullLength)).match,
  };
}
