/**
 * Codecs: values that describe a wire type once and serve both directions. A procedure's arguments and result are built
 * from these, and TypeScript infers the JavaScript type from the same expression, so table and types cannot drift apart.
 *
 * 64-bit counters come in two forms: `uhyper` is exact (bigint); `counter` is a number, exact up to 2^53 and the nearest
 * double above, which is what sizes, times and statistics want.
 */
import { XdrDecoder, XdrEncoder, XdrError } from './xdr.ts';

// Method syntax on purpose: it lets a Codec<string> stand where a Codec<unknown> is asked for.
export interface Codec<T> {
  encode(encoder: XdrEncoder, value: T): void;
  decode(decoder: XdrDecoder): T;
}

export type CodecValue<C> = C extends Codec<infer T> ? T : never;

/** libvirt refuses longer strings (bytes of UTF-8). */
export const maxStringBytes = 4 * 1024 * 1024;

export const nothing: Codec<void> = { encode: () => undefined, decode: () => undefined };
export const int: Codec<number> = { encode: (e, v) => e.int(v), decode: (d) => d.int() };
export const uint: Codec<number> = { encode: (e, v) => e.uint(v), decode: (d) => d.uint() };
export const hyper: Codec<bigint> = { encode: (e, v) => e.hyper(v), decode: (d) => d.hyper() };
export const uhyper: Codec<bigint> = { encode: (e, v) => e.uhyper(v), decode: (d) => d.uhyper() };
export const double: Codec<number> = { encode: (e, v) => e.double(v), decode: (d) => d.double() };

function integerToBigint(value: number): bigint {
  if (!Number.isSafeInteger(value)) throw new XdrError(`not a safe integer: ${value}`);
  return BigInt(value);
}

/** unsigned hyper <-> number. */
export const counter: Codec<number> = {
  encode: (e, v) => e.uhyper(integerToBigint(v)),
  decode: (d) => Number(d.uhyper()),
};

/** hyper <-> number. */
export const signedCounter: Codec<number> = {
  encode: (e, v) => e.hyper(integerToBigint(v)),
  decode: (d) => Number(d.hyper()),
};

/** libvirt says truth with an int. */
export const truth: Codec<boolean> = { encode: (e, v) => e.int(v ? 1 : 0), decode: (d) => d.int() !== 0 };

/** An unsigned int that was put together with `|`, which JavaScript leaves negative when the top bit is set. */
export const flags: Codec<number> = {
  encode: (e, v) => e.uint(v < 0 ? v + 0x1_0000_0000 : v),
  decode: (d) => d.uint(),
};

export const string: Codec<string> = {
  encode(e, v) {
    if (v.includes('\0')) throw new XdrError('a string holds a NUL');
    const bytes = Buffer.from(v);
    if (bytes.length > maxStringBytes) throw new XdrError(`a string of ${bytes.length} bytes is too long`);
    e.opaque(bytes);
  },
  decode: (d) => d.opaque().toString(),
};

export const opaque: Codec<Buffer> = { encode: (e, v) => e.opaque(v), decode: (d) => Buffer.from(d.opaque()) };

/** `char name[length]`: XDR spends four bytes on each char; the text ends at the first NUL. */
export function charArray(length: number): Codec<string> {
  return {
    encode(e, v) {
      const bytes = Buffer.alloc(length);
      bytes.write(v);
      for (const byte of bytes) e.int((byte << 24) >> 24);
    },
    decode(d) {
      const bytes = Buffer.from(Array.from({ length }, () => d.int() & 0xff));
      const end = bytes.indexOf(0);
      return bytes.subarray(0, end === -1 ? length : end).toString();
    },
  };
}

export function optional<T>(inner: Codec<T>): Codec<T | null> {
  return {
    encode(e, v) {
      e.int(v === null ? 0 : 1);
      if (v !== null) inner.encode(e, v);
    },
    decode: (d) => (d.int() === 0 ? null : inner.decode(d)),
  };
}

export function array<T>(inner: Codec<T>): Codec<readonly T[]> {
  return {
    encode(e, v) {
      e.uint(v.length);
      for (const item of v) inner.encode(e, item);
    },
    decode(d) {
      const length = d.uint();
      // Nothing is allocated by the claimed length: a lie ends at the end of the message.
      const items: T[] = [];
      for (let index = 0; index < length; index++) items.push(inner.decode(d));
      return items;
    },
  };
}

/** The order of the fields is the order on the wire. */
export function struct<Fields extends Record<string, Codec<unknown>>>(
  fields: Fields,
): Codec<{ readonly [K in keyof Fields]: CodecValue<Fields[K]> }> {
  type Value = { readonly [K in keyof Fields]: CodecValue<Fields[K]> };
  const entries = Object.entries(fields);
  return {
    encode(e, v) {
      for (const [name, codec] of entries) codec.encode(e, v[name]);
    },
    decode: (d) => Object.fromEntries(entries.map(([name, codec]) => [name, codec.decode(d)])) as Value,
  };
}

/** Changes the JavaScript side of a codec. */
export function mapped<Wire, T>(inner: Codec<Wire>, read: (wire: Wire) => T, write: (value: T) => Wire): Codec<T> {
  return { encode: (e, v) => inner.encode(e, write(v)), decode: (d) => read(inner.decode(d)) };
}

export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const encoder = new XdrEncoder();
  codec.encode(encoder, value);
  return encoder.bytes;
}

/** Decodes a whole buffer; bytes left over mean that the two sides disagree on the type, which is an error. */
export function decode<T>(codec: Codec<T>, bytes: Buffer): T {
  const decoder = new XdrDecoder(bytes);
  const value = codec.decode(decoder);
  if (decoder.remaining > 0) throw new XdrError(`${decoder.remaining} bytes left over`);
  return value;
}
