/** Connection tracking and its address translation, `NXAST_CT` and `NXAST_NAT`. */
import { isIPv4, isIPv6 } from 'node:net';
import type { Action, Nat } from '../flow.ts';
import { bitsHeader, checkBits, checkNumber, niciraAction, startAndCount } from './action-frame.ts';
import { FlowEncodingError } from './errors.ts';

const subtypeConntrack = 35;
const subtypeNat = 36;
const commitFlag = 1;
const forceFlag = 2;
const noTable = 0xff;
const natFlag = { src: 1, dst: 2 } as const;
/** Which values follow in a NAT action, each in this order. */
const present = { ipv4From: 1, ipv4To: 2, ipv6From: 4, ipv6To: 8, portFrom: 16, portTo: 32 } as const;

/** `exec`: the encoded actions that set mark and label. @throws FlowEncodingError */
export function encodeConntrack(action: Extract<Action, { do: 'ct' }>, exec: Buffer): Buffer {
  if (action.force === true && !action.commit) throw new FlowEncodingError('ct: force makes sense with commit only');
  const head = Buffer.alloc(14);
  head.writeUInt16BE((action.commit ? commitFlag : 0) | (action.force === true ? forceFlag : 0), 0);
  if (typeof action.zone === 'number') {
    head.writeUInt16BE(checkNumber(action.zone, 0, 0xffff, 'a conntrack zone'), 6);
  } else {
    checkBits(action.zone);
    if (action.zone.count !== 16) throw new FlowEncodingError('ct: a zone has 16 bits');
    bitsHeader(action.zone).copy(head, 2);
    head.writeUInt16BE(startAndCount(action.zone), 6);
  }
  head.writeUInt8(action.table === undefined ? noTable : checkNumber(action.table, 0, 0xfe, 'a table'), 8);
  const nat = action.nat === undefined ? Buffer.alloc(0) : encodeNat(action.nat, action.commit);
  return niciraAction(subtypeConntrack, Buffer.concat([head, nat, exec]));
}

function encodeNat(nat: Nat | true, commit: boolean): Buffer {
  const head = Buffer.alloc(6);
  if (nat === true) return niciraAction(subtypeNat, head);
  if (!commit) throw new FlowEncodingError('ct: a new address translation needs commit');
  const values: Buffer[] = [];
  let range = 0;
  if (nat.addresses !== undefined) {
    const { from, to } = nat.addresses;
    if (isIPv4(from) && isIPv4(to)) range |= present.ipv4From | (to === from ? 0 : present.ipv4To);
    else if (isIPv6(from) && isIPv6(to)) range |= present.ipv6From | (to === from ? 0 : present.ipv6To);
    else throw new FlowEncodingError(`ct: ${from} to ${to} is no range of addresses`);
    values.push(addressBytes(from), ...(to === from ? [] : [addressBytes(to)]));
  }
  if (nat.ports !== undefined) {
    if (nat.addresses === undefined) throw new FlowEncodingError('ct: ports are translated together with addresses');
    const from = checkNumber(nat.ports.from, 1, 0xffff, 'a port');
    const to = checkNumber(nat.ports.to, from, 0xffff, 'the last port of a range');
    range |= present.portFrom | (to === from ? 0 : present.portTo);
    for (const port of to === from ? [from] : [from, to]) {
      const bytes = Buffer.alloc(2);
      bytes.writeUInt16BE(port, 0);
      values.push(bytes);
    }
  }
  head.writeUInt16BE(natFlag[nat.kind], 2);
  head.writeUInt16BE(range, 4);
  return niciraAction(subtypeNat, Buffer.concat([head, ...values]));
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const ipv4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const pair = (high: string | undefined, low: string | undefined) => (Number(high) * 256 + Number(low)).toString(16);
  const text = ipv4 === null ? address : `${ipv4[1]}${pair(ipv4[2], ipv4[3])}:${pair(ipv4[4], ipv4[5])}`;
  const [left = '', right] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const before = words(left);
  const after = words(right ?? '');
  const out = Buffer.alloc(16);
  for (const [n, word] of before.entries()) out.writeUInt16BE(word, 2 * n);
  for (const [n, word] of after.entries()) out.writeUInt16BE(word, 16 - 2 * (after.length - n));
  return out;
}
