/** Matches on the wire: a list of OXM fields, each with class, number, width, value and perhaps mask. */
import { canonicalMatch, partsOfWideRegister } from '../canonical-match.ts';
import type { FieldMatch, FieldName, Match } from '../flow.ts';
import { FlowEncodingError, OpenFlowError } from './errors.ts';
import { allOnes, type FieldCode, fieldNames, fields } from './fields.ts';
import { padded } from './message.ts';
import { requirePrerequisite } from './prerequisites.ts';

const oxmMatch = 1;
const experimenterClass = 0xffff;
const headerLength = 4;

/** `match` holds what we know; fields that we never send stay as they came. */
export interface DecodedMatch {
  readonly match: Match;
  readonly unknown: readonly Buffer[];
}

/** The whole match structure with its padding. @throws FlowEncodingError naming the field */
export function encodeMatch(match: Match): Buffer {
  const list = encodeFields(match);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(oxmMatch, 0);
  head.writeUInt16BE(4 + list.length, 2);
  return padded(Buffer.concat([head, list]));
}

/** The fields alone. Equal for matches that mean the same, and only for those. @throws FlowEncodingError naming the field */
export function encodeFields(match: Match): Buffer {
  refuseOverlap(match);
  const wanted = canonicalMatch(match);
  const parts = entriesOf(wanted).map(([name, field]) => {
    check(name, field);
    requirePrerequisite(wanted, name);
    return encodeField(fields[name].match, fields[name].bits, field);
  });
  return Buffer.concat(parts);
}

/** What `encodeFields` would make of it, and behind it what we do not know. */
export function recodeFields({ match, unknown }: DecodedMatch): Buffer {
  const known = entriesOf(canonicalMatch(match)).map(([name, field]) =>
    encodeField(fields[name].match, fields[name].bits, field),
  );
  return Buffer.concat([...known, ...unknown]);
}

/** OXM or NXM header, value and mask; `bits` is the width of the field under this code. */
export function encodeField(code: FieldCode, bits: number, { value, mask }: FieldMatch): Buffer {
  const width = Math.ceil(bits / 8);
  const out = Buffer.allocUnsafe(headerLength + (mask === undefined ? width : 2 * width));
  writeHeader(out, code, out.length - headerLength, mask !== undefined);
  writeBits(out, headerLength, width, value);
  if (mask !== undefined) writeBits(out, headerLength + width, width, mask);
  return out;
}

/** Names some bits of a field of this width in bytes. */
export function encodeHeader(code: FieldCode, width: number): Buffer {
  const out = Buffer.alloc(headerLength);
  writeHeader(out, code, width, false);
  return out;
}

/** Reads the match structure at the begin of `bytes`; `length` includes its padding. @throws OpenFlowError `malformed` */
export function decodeMatch(bytes: Buffer): DecodedMatch & { readonly length: number } {
  const length = bytes.length < 4 ? 0 : bytes.readUInt16BE(2);
  if (length < 4 || length > bytes.length) throw new OpenFlowError('malformed', 'a match is cut off');
  return { ...decodeFields(bytes.subarray(4, length)), length: (length + 7) & ~7 };
}

/** A list of OXM fields without anything around. */
export function decodeFields(bytes: Buffer): DecodedMatch {
  const match: Partial<Record<FieldName, FieldMatch>> = {};
  const unknown: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 4 < bytes.length ? at + 4 + bytes.readUInt8(at + 3) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new OpenFlowError('malformed', 'a field of a match is cut off');
    const one = bytes.subarray(at, end);
    const known = decodeField(one);
    if (known === null) unknown.push(one);
    else match[known.name] = known.field;
    at = end;
  }
  return { match, unknown };
}

/** @throws FlowEncodingError when the value does not fit the field */
export function check(name: FieldName, { value, mask }: FieldMatch): void {
  const { bits, maskable } = fields[name];
  const all = allOnes(bits);
  if (value < 0n || value > all) throw new FlowEncodingError(`${name} has ${bits} bits: ${value} does not fit`);
  if (mask === undefined) return;
  if (mask < 0n || mask > all) throw new FlowEncodingError(`${name} has ${bits} bits: its mask does not fit`);
  if ((value & ~mask) !== 0n) throw new FlowEncodingError(`${name} has value bits outside of its mask`);
  if (!maskable && mask !== all) throw new FlowEncodingError(`${name} cannot be used in part`);
}

function refuseOverlap(match: Match): void {
  for (const name of ['xxreg0', 'xxreg1', 'xxreg2', 'xxreg3'] as const) {
    const twice = match[name] && partsOfWideRegister(name).find((part) => match[part] !== undefined);
    if (twice !== undefined) throw new FlowEncodingError(`${twice} is a part of ${name}: match only one of them`);
  }
}

function entriesOf(match: Match): [FieldName, FieldMatch][] {
  return Object.entries(match) as [FieldName, FieldMatch][];
}

function writeHeader(out: Buffer, code: FieldCode, length: number, masked: boolean): void {
  out.writeUInt16BE(code.class, 0);
  out.writeUInt8((code.field << 1) | (masked ? 1 : 0), 2);
  out.writeUInt8(length, 3);
}

function writeBits(out: Buffer, at: number, width: number, value: bigint): void {
  if (width <= 6) out.writeUIntBE(Number(value), at, width);
  else if (width === 8) out.writeBigUInt64BE(value, at);
  else out.write(value.toString(16).padStart(2 * width, '0'), at, 'hex');
}

function readBits(bytes: Buffer): bigint {
  if (bytes.length === 8) return bytes.readBigUInt64BE(0);
  if (bytes.length <= 6) return bytes.length === 0 ? 0n : BigInt(bytes.readUIntBE(0, bytes.length));
  return BigInt(`0x${bytes.toString('hex')}`);
}

function decodeField(bytes: Buffer): { readonly name: FieldName; readonly field: FieldMatch } | null {
  const code = { class: bytes.readUInt16BE(0), field: bytes.readUInt8(2) >> 1 };
  const head = bytes.subarray(0, 8);
  const isTcpFlags = code.class === experimenterClass && (head.equals(maskedTcpFlags) || head.equals(tcpFlags));
  const name = isTcpFlags ? 'tcp_flags' : byCode.get(codeKey(code));
  if (name === undefined) return null;
  const body = bytes.subarray(isTcpFlags ? 8 : 4);
  const masked = (bytes.readUInt8(2) & 1) === 1;
  const width = masked ? body.length / 2 : body.length;
  const value = readBits(body.subarray(0, width));
  if (name === 'in_port') return { name, field: { value: width === 2 ? widePort(value) : value } };
  return { name, field: masked ? { value, mask: readBits(body.subarray(width)) } : { value } };
}

/** Special ports in the 16 bits of Nicira's field. */
function widePort(port: bigint): bigint {
  return port >= 0xff00n ? port | 0xffff0000n : port;
}

function codeKey(code: FieldCode): number {
  return code.class * 128 + code.field;
}

/** Under OpenFlow 1.4 the switch lists this field with a code of the ONF, which has a vendor number after the header. */
const tcpFlags = Buffer.from('ffff54064f4e4600', 'hex');
const maskedTcpFlags = Buffer.from('ffff55084f4e4600', 'hex');
const byCode = new Map<number, FieldName>([
  ...fieldNames.map((name) => [codeKey(fields[name].action), name] as const),
  ...fieldNames.map((name) => [codeKey(fields[name].match), name] as const),
]);
