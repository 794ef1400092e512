import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame, maxMessageBytes, type Message, MessageReader } from './message.ts';
import { XdrError } from './xdr.ts';

const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(fields, { noNullPrototype: true });

const message: fc.Arbitrary<Message> = record({
  program: fc.integer({ min: 0, max: 0xffffffff }),
  procedure: fc.integer({ min: 0, max: 500 }),
  type: fc.nat(3),
  serial: fc.integer({ min: 0, max: 0xffffffff }),
  status: fc.nat(2),
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

test('messages come out whole and in order, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 100 })), (messages, cuts) => {
      let rest = Buffer.concat(messages.map(({ body, ...header }) => frame(header, body)));
      const reader = new MessageReader();
      const got: Message[] = [];
      for (let turn = 0; rest.length > 0; turn++) {
        const size = cuts[turn] ?? rest.length;
        for (const whole of reader.push(rest.subarray(0, size))) got.push({ ...whole, body: Buffer.from(whole.body) });
        rest = rest.subarray(size);
      }
      assert.deepEqual(got, messages);
    }),
  );
});

test('a length outside the limits is refused as soon as it is read', () => {
  for (const length of [0, 27, maxMessageBytes + 1, 0xffffffff]) {
    const word = Buffer.alloc(4);
    word.writeUInt32BE(length);
    assert.throws(() => [...new MessageReader().push(word)], XdrError, String(length));
  }
});

test('a message over the limit is not sent', () => {
  const header = { program: 1, procedure: 1, type: 0, serial: 1, status: 0 };
  assert.throws(() => frame(header, new Uint8Array(maxMessageBytes)), XdrError);
});
