/** How actions are framed: type, length and body, filled up to 8 bytes; Nicira's with vendor and subtype. */
import type { Bits } from '../flow.ts';
import { FlowEncodingError } from './errors.ts';
import { fields } from './fields.ts';
import { encodeHeader } from './match-codec.ts';
import { longestMessage, niciraVendor, padded } from './message.ts';

const experimenter = 0xffff;

export function standardAction(type: number, body: Buffer): Buffer {
  const out = padded(Buffer.concat([Buffer.alloc(4), body]));
  if (out.length > longestMessage) throw new FlowEncodingError('an action is longer than OpenFlow can say');
  out.writeUInt16BE(type, 0);
  out.writeUInt16BE(out.length, 2);
  return out;
}

export function niciraAction(subtype: number, body: Buffer): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32BE(niciraVendor, 0);
  head.writeUInt16BE(subtype, 4);
  return standardAction(experimenter, Buffer.concat([head, body]));
}

/** Header that names the field of some bits in Nicira's actions. */
export function bitsHeader({ field }: Bits): Buffer {
  const { action, actionBits } = fields[field];
  return encodeHeader(action, Math.ceil(actionBits / 8));
}

/** Start and width in 16 bits. */
export function startAndCount({ start, count }: Bits): number {
  return (start << 6) | (count - 1);
}

/** @throws FlowEncodingError */
export function checkBits({ field, start, count }: Bits): void {
  const width = fields[field].actionBits;
  if (!Number.isInteger(start) || !Number.isInteger(count) || start < 0 || count < 1 || start + count > width) {
    throw new FlowEncodingError(`${field} has no bits ${start} to ${start + count - 1}`);
  }
}

/** @throws FlowEncodingError */
export function checkNumber(value: number, lowest: number, highest: number, what: string): number {
  if (!Number.isInteger(value) || value < lowest || value > highest) {
    throw new FlowEncodingError(`${what} is ${value}, not a whole number from ${lowest} to ${highest}`);
  }
  return value;
}
