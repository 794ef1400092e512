import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrOf, linkLocal, parseAddress, parseCidr, parseMac, prefixMask } from './addresses.ts';

test('addresses are numbers', () => {
  assert.deepEqual(parseAddress('10.0.0.5'), { family: 'ipv4', value: 0x0a000005n });
  assert.deepEqual(parseAddress('fd00::5'), { family: 'ipv6', value: (0xfd00n << 112n) | 5n });
  assert.equal(parseAddress('::').value, 0n);
  assert.equal(parseAddress('1:2:3:4:5:6:7:8').value, 0x00010002000300040005000600070008n);
  assert.equal(parseAddress('::ffff:10.0.0.5').value, 0xffff0a000005n);
  assert.equal(parseAddress('fe80::').value, 0xfe80n << 112n);
  assert.equal(parseMac('52:54:00:AB:cd:01'), 0x525400abcd01n);
});

test('a CIDR is cleared behind its prefix', () => {
  assert.deepEqual(parseCidr('10.1.2.3/8'), { family: 'ipv4', value: 0x0a000000n, prefixLength: 8 });
  assert.deepEqual(parseCidr('::/0'), { family: 'ipv6', value: 0n, prefixLength: 0 });
  assert.equal(prefixMask('ipv4', 24), 0xffffff00n);
  assert.equal(prefixMask('ipv6', 128), (1n << 128n) - 1n);
  assert.equal(cidrOf(parseAddress('10.0.0.255'), 31).value, 0x0a0000fen);
});

test('a guest makes its link-local address from its MAC', () => {
  assert.equal(linkLocal(parseMac('52:54:00:00:00:a1')), parseAddress('fe80::5054:ff:fe00:a1').value);
});

test('what is no address is refused', () => {
  for (const text of ['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', 'a::b::c']) {
    assert.throws(() => parseAddress(text), SyntaxError, text);
  }
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1']) {
    assert.throws(() => parseCidr(text), SyntaxError, text);
  }
  assert.throws(() => parseMac('52:54:00:00:00'), SyntaxError);
});
