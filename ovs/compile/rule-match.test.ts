import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cidrMatch, portMasks, serviceMatches } from './rule-match.ts';
import { rule } from './testing/slices.ts';

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

test('a rule that contradicts itself matches nothing', () => {
  const contradictions = [
    rule('icmp of the other family', { protocol: 58, icmp: { type: 8, code: null } }),
    rule('icmp without its protocol', { icmp: { type: 8, code: null } }),
    rule('ports without a protocol', { ports: { from: 1, to: 2 } }),
    rule('ports of ICMP', { protocol: 1, ports: { from: 1, to: 2 } }),
    rule('both', { protocol: 6, ports: { from: 1, to: 2 }, icmp: { type: 8, code: null } }),
  ];
  for (const each of contradictions) assert.deepEqual(serviceMatches(each), [], each.ruleId);
  assert.equal(cidrMatch(rule('family', { family: 'ipv6', remote: { cidr: '0.0.0.0/0' } })), null);
});
