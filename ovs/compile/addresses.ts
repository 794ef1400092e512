/** Addresses as numbers. What is no address throws a `SyntaxError`; the slice was validated before it came here. */
import { isIPv4, isIPv6 } from 'node:net';

export type Family = 'ipv4' | 'ipv6';

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Cidr extends Address {
  readonly prefixLength: number;
}

export const bitsOf: Readonly<Record<Family, number>> = { ipv4: 32, ipv6: 128 };

export function parseMac(text: string): bigint {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new SyntaxError(`no MAC address: ${text}`);
  return BigInt(`0x${text.replaceAll(':', '')}`);
}

export function parseAddress(text: string): Address {
  if (isIPv4(text)) return { family: 'ipv4', value: ipv4(text) };
  if (isIPv6(text) && !text.includes('%')) return { family: 'ipv6', value: ipv6(text) };
  throw new SyntaxError(`no IP address: ${text}`);
}

/** Bits beyond the prefix are cleared. */
export function parseCidr(text: string): Cidr {
  const [address = '', length = ''] = text.split('/');
  return cidrOf(parseAddress(address), /^\d{1,3}$/.test(length) ? Number(length) : -1);
}

export function cidrOf({ family, value }: Address, prefixLength: number): Cidr {
  if (prefixLength < 0 || prefixLength > bitsOf[family]) throw new SyntaxError(`no prefix length: ${prefixLength}`);
  return { family, value: value & prefixMask(family, prefixLength), prefixLength };
}

export function prefixMask(family: Family, prefixLength: number): bigint {
  const bits = BigInt(bitsOf[family]);
  return ((1n << bits) - 1n) ^ ((1n << (bits - BigInt(prefixLength))) - 1n);
}

/** The link-local address that a guest makes from its MAC (EUI-64). */
export function linkLocal(mac: bigint): bigint {
  const high = (mac >> 24n) ^ 0x020000n;
  return (0xfe80n << 112n) | (high << 40n) | (0xfffen << 24n) | (mac & 0xffffffn);
}

/** Dotted, for what takes text (address translation). */
export function ipv4Text(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
}

function ipv4(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function ipv6(text: string): bigint {
  const dotted = /\d+\.\d+\.\d+\.\d+$/.exec(text)?.[0];
  const hex = dotted === undefined ? text : text.replace(dotted, wordsOf(ipv4(dotted)));
  const [left = '', right] = hex.split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right === undefined || right === '' ? [] : right.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n);
}

function wordsOf(value: bigint): string {
  return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}
