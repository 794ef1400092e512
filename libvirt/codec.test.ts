import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  array,
  charArray,
  type Codec,
  counter,
  decode,
  double,
  encode,
  flags,
  hyper,
  int,
  opaque,
  optional,
  signedCounter,
  string,
  struct,
  truth,
  uhyper,
  uint,
} from './codec.ts';
import { typedParam } from './typed-params.ts';
import { uuid } from './wire-types.ts';
import { XdrError } from './xdr.ts';

const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(fields, { noNullPrototype: true });

const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0') && value.isWellFormed());
const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array().map((value) => Buffer.from(value));

const param = fc.oneof(
  record({ field: text, type: fc.constant('int' as const), value: int32 }),
  record({ field: text, type: fc.constant('uint' as const), value: uint32 }),
  record({ field: text, type: fc.constant('llong' as const), value: int64 }),
  record({ field: text, type: fc.constant('ullong' as const), value: uint64 }),
  record({ field: text, type: fc.constant('double' as const), value: fc.double() }),
  record({ field: text, type: fc.constant('boolean' as const), value: fc.boolean() }),
  record({ field: text, type: fc.constant('string' as const), value: text }),
);

function roundTrip<T>(name: string, codec: Codec<T>, values: fc.Arbitrary<T>): void {
  test(`${name}: what is written is read back, in whole words`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const wire = Buffer.from(encode(codec, value));
        assert.equal(wire.length % 4, 0);
        assert.deepEqual(decode(codec, wire), value);
      }),
    );
  });
}

roundTrip('int', int, int32);
roundTrip('unsigned int', uint, uint32);
roundTrip('hyper', hyper, int64);
roundTrip('unsigned hyper', uhyper, uint64);
roundTrip('double', double, fc.double());
roundTrip('counter', counter, fc.maxSafeNat());
roundTrip('signed counter', signedCounter, fc.maxSafeInteger());
roundTrip('truth', truth, fc.boolean());
roundTrip('string', string, text);
roundTrip('opaque', opaque, bytes);
roundTrip('optional', optional(string), fc.option(text));
roundTrip('array', array(string), fc.array(text));
roundTrip('UUID', uuid, fc.uuid());
roundTrip('typed parameter', typedParam, param);
roundTrip(
  'char array',
  charArray(32),
  fc.string({ unit: 'binary-ascii', maxLength: 32 }).filter((s) => !s.includes('\0')),
);
roundTrip(
  'structure',
  struct({ a: int, b: optional(struct({ c: string, d: array(uhyper) })), e: truth }),
  record({ a: int32, b: fc.option(record({ c: text, d: fc.array(uint64) })), e: fc.boolean() }),
);

test('any bytes either decode or raise XdrError', () => {
  const codec = struct({ a: string, b: array(typedParam), c: optional(opaque), d: array(array(int)) });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (wire) => {
      try {
        decode(codec, Buffer.from(wire));
      } catch (error) {
        assert.ok(error instanceof XdrError, String(error));
      }
    }),
  );
});

test('a message grows past the first buffer whatever item crosses its end', () => {
  fc.assert(
    fc.property(fc.nat(300), (length) => {
      const codec = struct({ head: opaque, a: int, b: uhyper, c: double, d: string });
      const value = { head: Buffer.alloc(length, 7), a: -5, b: 6n, c: 0.5, d: 'end' };
      assert.deepEqual(decode(codec, Buffer.from(encode(codec, value))), value);
    }),
  );
});

test('a value outside its type is refused, never truncated', () => {
  for (const [codec, value] of [
    [int, 2 ** 31],
    [int, 0.5],
    [uint, -1],
    [uint, 2 ** 32],
    [counter, 2 ** 53],
    [counter, -1],
    [flags, 2 ** 32],
  ] as const) {
    assert.throws(() => encode(codec, value), XdrError, String(value));
  }
  assert.throws(() => encode(uhyper, 2n ** 64n), XdrError);
  assert.throws(() => encode(hyper, 2n ** 63n), XdrError);
  assert.throws(() => encode(string, 'a\0b'), XdrError);
  assert.throws(() => encode(uuid, 'not-a-uuid'), XdrError);
});

test('flags whose top bit is set keep it', () => {
  assert.equal(decode(flags, Buffer.from(encode(flags, 0x80000000 | 1))), 0x80000001);
});

test('a claimed length beyond the message is refused before anything is allocated', () => {
  assert.throws(() => decode(array(int), Buffer.from('7fffffff00000000', 'hex')), XdrError);
  assert.throws(() => decode(string, Buffer.from('7fffffff', 'hex')), XdrError);
});

test('bytes left over are an error', () => {
  assert.throws(() => decode(int, Buffer.alloc(8)), /left over/);
});
