import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { portMasks } from './rule-match.ts';

test('a range of ports is the sum of its masks: every port once, none besides', () => {
  const ranges = fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(
    fc.property(ranges, ([from, to]) => {
      let next = BigInt(from);
      for (const { value, mask = 0xffffn } of portMasks(from, to)) {
        assert.equal(value, next, 'in order, without gap or overlap');
        assert.equal(value & ~mask, 0n);
        next = value + (0x10000n - mask);
      }
      assert.equal(next, BigInt(to) + 1n);
    }),
  );
  assert.equal(portMasks(0, 0xffff).length, 1);
  assert.ok(portMasks(1, 0xfffe).length <= 30);
});
