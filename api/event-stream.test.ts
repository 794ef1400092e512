/** The event stream format, whatever pieces the network cuts it into. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEventStream, type StreamMessage } from './event-stream.ts';

async function read(text: string, pieceBytes: number): Promise<StreamMessage[]> {
  const bytes = new TextEncoder().encode(text);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  const messages: StreamMessage[] = [];
  for await (const message of readEventStream(pieces())) messages.push(message);
  return messages;
}

test('blocks come out the same whole, cut in the middle of a character, and byte by byte', async () => {
  const text = [
    ': comment\n\n',
    'id: 1\ndata: 网站\n\n',
    'event: vm\r\ndata: a\r\ndata:b\r\n\r\n',
    'id: 2\n\n',
    'retry: 1000\n\n',
    'data: cut off',
  ].join('');
  const expected = [
    { id: '1', event: 'message', data: '网站' },
    { id: '1', event: 'vm', data: 'a\nb' },
    { id: '2', event: 'message', data: '' },
  ];
  for (const pieceBytes of [1, 2, 7, 1000]) assert.deepEqual(await read(text, pieceBytes), expected, `${pieceBytes}`);
});
