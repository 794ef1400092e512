import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdsCut, mergeCuts, mostCuts } from './merge-cuts.ts';
import type { SliceCut } from './network-slice.ts';

const cut = (change: Partial<SliceCut> = {}): SliceCut => ({
  ...{ opened: 'in', address: '10.0.0.1', port: 80, remote: '10.0.0.2' },
  ...change,
});

test('what is said twice, or held by a wider one, stands once; the order makes no difference', () => {
  const [one, other, wide] = [cut(), cut({ remote: '10.0.0.3' }), cut({ port: 81, remote: null })];
  assert.deepEqual(mergeCuts([one, other], [one]), [one, other]);
  assert.deepEqual(mergeCuts([wide, cut({ port: 81 }), other], [one]), mergeCuts([one], [other, wide]));
  assert.deepEqual(mergeCuts([wide, cut({ port: 81 })]), [wide]);
  assert.equal(mergeCuts([one], [cut({ opened: 'out' })]).length, 2);
});

test('too many are made wider until they are few, and none is lost', () => {
  const remotes = Array.from({ length: mostCuts + 1 }, (_, n) => cut({ remote: `10.0.${n >> 8}.${n & 255}` }));
  assert.deepEqual(mergeCuts(remotes), [cut({ remote: null })]);
  const ports = Array.from({ length: mostCuts + 1 }, (_, port) => cut({ port }));
  assert.deepEqual(mergeCuts(ports), [cut({ port: null, remote: null })]);
  const both = mergeCuts(remotes, ports);
  for (const each of [...remotes, ...ports]) assert.ok(holdsCut(both, each));
  assert.equal(holdsCut([cut()], cut({ port: 81 })), false);
});
