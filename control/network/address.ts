/**
 * IP addresses and subnets as numbers. Text comes out in one form only: dotted for IPv4, RFC 5952 for IPv6, so that equal
 * addresses are equal strings everywhere.
 */

export type Family = 'ipv4' | 'ipv6';

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Cidr {
  readonly family: Family;
  /** The first address of the block. */
  readonly first: bigint;
  readonly prefixLength: number;
}

export const widthOf = { ipv4: 32, ipv6: 128 } as const satisfies Record<Family, number>;

/** undefined when it is no address. No zones, no mapped forms, no leading zeros. */
export function parseAddress(text: string): Address | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** `10.0.0.0/24`; undefined when it is none, also when bits behind the prefix are set. */
export function parseCidr(text: string): Cidr | undefined {
  const [address, prefix, ...rest] = text.split('/');
  if (address === undefined || prefix === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(prefix)) return;
  const parsed = parseAddress(address);
  const prefixLength = Number(prefix);
  if (parsed === undefined || prefixLength > widthOf[parsed.family]) return;
  const cidr = { family: parsed.family, first: parsed.value, prefixLength };
  return parsed.value % sizeOf(cidr) === 0n ? cidr : undefined;
}

export function sizeOf({ family, prefixLength }: Pick<Cidr, 'family' | 'prefixLength'>): bigint {
  return 1n << BigInt(widthOf[family] - prefixLength);
}

export function lastOf(cidr: Cidr): bigint {
  return cidr.first + sizeOf(cidr) - 1n;
}

export function contains(cidr: Cidr, { family, value }: Address): boolean {
  return family === cidr.family && value >= cidr.first && value <= lastOf(cidr);
}

export function overlap(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.first <= lastOf(b) && b.first <= lastOf(a);
}

export function formatCidr({ family, first, prefixLength }: Cidr): string {
  return `${formatAddress({ family, value: first })}/${prefixLength}`;
}

export function formatAddress({ family, value }: Address): string {
  if (family === 'ipv4') {
    return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  const { at, length } = longestZeros(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, at))}::${hex(groups.slice(at + length))}`;
}

/** The address that a guest gives itself in a /64 by its MAC (RFC 4291, appendix A). */
export function slaacAddress(cidr: Cidr, macAddress: string): Address {
  const bytes = macAddress.split(':').map((byte) => Number.parseInt(byte, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  const value = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: 'ipv6', value: cidr.first | value };
}

function longestZeros(groups: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  for (let at = 0; at < groups.length; at += 1) {
    let length = 0;
    while (groups[at + length] === 0) length += 1;
    if (length > best.length) best = { at, length };
  }
  return best;
}

function parseIpv4(text: string): Address | undefined {
  if (!/^(\d{1,3}\.){3}\d{1,3}$/.test(text)) return;
  const bytes = text.split('.');
  if (bytes.some((byte) => Number(byte) > 255 || (byte.length > 1 && byte.startsWith('0')))) return;
  return { family: 'ipv4', value: bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) };
}

function parseIpv6(text: string): Address | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const groups = [...(head ?? []), ...(tail ?? [])];
  if (groups.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return;
  const missing = 8 - groups.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return;
  const all = halves.length === 2 ? [...(head ?? []), ...Array<string>(missing).fill('0'), ...(tail ?? [])] : groups;
  return {
    family: 'ipv6',
    value: all.reduce((sum, group) => (sum << 16n) | BigInt(Number.parseInt(group, 16)), 0n),
  };
}
