/** The values of fields as `ovs-ofctl` writes them. */
import { allOnes, fields, type Notation } from './openflow/fields.ts';
import type { Bits, FieldMatch, FieldName, SpecialPort } from './flow.ts';

const ctStates = ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'];
const tcpFlags = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns', '[200]', '[400]', '[800]'];

/** By number; 2 is none. */
const fragments = ['no', 'first', '<error>', 'later'];

/** OpenFlow's numbers for ports that are no ports. */
export const specialPorts: Readonly<Record<SpecialPort, number>> = {
  in_port: 0xfffffff8,
  normal: 0xfffffffa,
  flood: 0xfffffffb,
  controller: 0xfffffffd,
  local: 0xfffffffe,
};

export function formatHex(value: bigint): string {
  return value === 0n ? '0' : `0x${value.toString(16)}`;
}

export function formatMac(value: bigint): string {
  return bytesOf(value, 6)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}

export function formatIpv4(value: bigint): string {
  return bytesOf(value, 4).join('.');
}

/** As `inet_ntop` does: the longest run of zeros goes, and addresses that embed an IPv4 address end with it. */
export function formatIpv6(value: bigint): string {
  const words = Array.from({ length: 8 }, (_, n) => Number((value >> BigInt(112 - 16 * n)) & 0xffffn));
  const { start, length } = longestZeros(words);
  const embedsIpv4 = start === 0 && (length === 6 || (length === 5 && words[5] === 0xffff));
  const text = (part: readonly number[]) => part.map((word) => word.toString(16));
  const tail = embedsIpv4
    ? [...text(words.slice(length, 6)), formatIpv4(value & 0xffffffffn)]
    : text(words.slice(start + length));
  if (length === 0) return text(words).join(':');
  return `${text(words.slice(0, start)).join(':')}::${tail.join(':')}`;
}

export function formatPort(port: number): string {
  const special = Object.entries(specialPorts).find(([, number]) => number === port);
  return special === undefined ? `${port}` : special[0].toUpperCase();
}

/** Value of a field in a match: `10.0.0.0/8`, `0x1/0xff`, `80`. */
export function formatMasked(name: FieldName, { value, mask }: FieldMatch): string {
  const { bits, notation } = fields[name];
  const whole = mask === undefined || mask === allOnes(bits);
  if (notation === 'ct-state') return formatFlags(ctStates, value, whole ? 0xffn : mask);
  if (notation === 'tcp-flags') return formatFlags(tcpFlags, value, mask ?? allOnes(bits));
  if (whole) return formatOne(notation, value);
  if (notation === 'mac') return `${formatMac(value)}/${formatMac(mask)}`;
  if (notation === 'ipv4' || notation === 'ipv6') {
    return `${formatOne(notation, value)}/${prefixLength(mask, bits) ?? formatOne(notation, mask)}`;
  }
  const shown = notation === 'decimal' ? `0x${value.toString(16)}` : formatHex(value);
  return `${shown}/${formatHex(mask)}`;
}

/** The same in set-field, where `ovs-ofctl` keeps a decimal value decimal beside its mask. */
export function formatSetValue(name: FieldName, { value, mask }: FieldMatch): string {
  const { bits, notation } = fields[name];
  const partOfDecimal = notation === 'decimal' && mask !== undefined && mask !== allOnes(bits);
  return partOfDecimal ? `${value}/${formatHex(mask)}` : formatMasked(name, { value, mask });
}

/** `NXM_NX_REG0[0..15]`; the whole field is `NXM_NX_REG0[]`. */
export function formatBits({ field, start, count }: Bits): string {
  const { actionName, actionBits } = fields[field];
  if (start === 0 && count === actionBits) return `${actionName}[]`;
  return count === 1 ? `${actionName}[${start}]` : `${actionName}[${start}..${start + count - 1}]`;
}

function formatOne(notation: Notation, value: bigint): string {
  switch (notation) {
    case 'mac':
      return formatMac(value);
    case 'ipv4':
      return formatIpv4(value);
    case 'ipv6':
      return formatIpv6(value);
    case 'hex':
      return formatHex(value);
    case 'port':
      return formatPort(Number(value));
    case 'fragment':
      return fragments[Number(value)] ?? '<error>';
    case 'decimal':
    case 'ct-state':
    case 'tcp-flags':
      return `${value}`;
  }
}

/** All flags given: `syn|ack`, some: `+syn-ack`. */
function formatFlags(names: readonly string[], value: bigint, mask: bigint): string {
  const has = (bits: bigint, n: number) => ((bits >> BigInt(n)) & 1n) === 1n;
  if (mask === allOnes(names.length)) return names.filter((_, n) => has(value, n)).join('|') || '0';
  return names.map((name, n) => (has(mask, n) ? `${has(value, n) ? '+' : '-'}${name}` : '')).join('');
}

function prefixLength(mask: bigint, bits: number): number | null {
  const zeros = allOnes(bits) ^ mask;
  return (zeros & (zeros + 1n)) === 0n ? bits - zeros.toString(2).replace(/^0$/, '').length : null;
}

function longestZeros(words: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: -1, length: 0 };
  for (let start = 0; start < words.length; start++) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length && length > 1) best = { start, length };
  }
  return best;
}

function bytesOf(value: bigint, length: number): number[] {
  return Array.from({ length }, (_, n) => Number((value >> BigInt(8 * (length - 1 - n))) & 0xffn));
}
