import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { toPng } from './png.ts';

test('a PPM becomes a PNG of the same pixels', () => {
  const pixels = Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7]);
  const png = toPng('image/x-portable-pixmap', Buffer.concat([Buffer.from('P6\n2 2\n255\n'), pixels]));
  assert.equal(png.subarray(1, 4).toString(), 'PNG');
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [2, 2]);
  const length = png.readUInt32BE(33);
  const rows = inflateSync(png.subarray(41, 41 + length));
  assert.deepEqual([...rows], [0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 9, 8, 7]);
});

test('a cut-off picture is refused, a PNG passes as it is', () => {
  assert.throws(() => toPng('image/x-portable-pixmap', Buffer.from('P6\n2 2\n255\nab')), /whole PPM/);
  assert.equal(toPng('image/png', Buffer.from('x')).toString(), 'x');
});
