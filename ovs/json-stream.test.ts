import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonStream } from './json-stream.ts';

test('messages come out whole however the bytes are cut', () => {
  const message = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue());
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), fc.array(fc.nat(40)), (messages, cuts) => {
      const bytes = Buffer.from(messages.map((item) => JSON.stringify(item)).join('\n'));
      const stream = new JsonStream();
      const seen: unknown[] = [];
      let at = 0;
      for (const cut of cuts) {
        seen.push(...stream.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      seen.push(...stream.push(bytes.subarray(at)));
      assert.deepEqual(seen, JSON.parse(JSON.stringify(messages)));
    }),
  );
});

test('a character cut in the middle of its bytes stays whole', () => {
  const bytes = Buffer.from('{"name":"虚拟机 {\\"}"}');
  const stream = new JsonStream();
  const seen = [...bytes].flatMap((byte) => stream.push(Buffer.from([byte])));
  assert.deepEqual(seen, [{ name: '虚拟机 {"}' }]);
});

test('what is no stream of objects is refused', () => {
  assert.throws(() => new JsonStream().push(Buffer.from('}')), SyntaxError);
  assert.throws(() => new JsonStream().push(Buffer.from('"text"')), SyntaxError);
  assert.throws(() => new JsonStream(8).push(Buffer.from('{"a":"longer than that')), /longer than 8 bytes/);
});
