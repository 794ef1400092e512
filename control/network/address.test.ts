import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { contains, formatAddress, formatCidr, overlap, parseAddress, parseCidr, slaacAddress } from './address.ts';

describe('addresses', () => {
  it('are the same after they were written and read', () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(text, (address) => {
        const parsed = parseAddress(address);
        // Mapped forms (::ffff:1.2.3.4) are addresses elsewhere, not here.
        if (address.includes(':') && address.includes('.')) return assert.equal(parsed, undefined);
        assert.ok(parsed !== undefined, address);
        const written = formatAddress(parsed);
        assert.notEqual(isIP(written), 0);
        assert.deepEqual(parseAddress(written), parsed);
      }),
    );
  });

  it('have one form', () => {
    const forms = {
      'FD00:0:0:1::0': 'fd00:0:0:1::',
      '::': '::',
      '1:0:0:2:0:0:0:3': '1:0:0:2::3',
      '10.0.0.1': '10.0.0.1',
    };
    for (const [text, form] of Object.entries(forms)) assert.equal(formatAddress(parseAddress(text)!), form);
  });

  it('are refused where they are none', () => {
    for (const text of [
      '10.0.0',
      '10.0.0.256',
      '010.0.0.1',
      '1::2::3',
      ':::',
      '1:2:3:4:5:6:7',
      '12345::',
      'fe80::1%eth0',
      '',
    ]) {
      assert.equal(parseAddress(text), undefined, text);
    }
    for (const text of ['10.0.0.1/24', '10.0.0.0/33', '10.0.0.0', 'fd00::/129', 'fd00::1/64', '10.0.0.0/024']) {
      assert.equal(parseCidr(text), undefined, text);
    }
  });

  it('lie in blocks, and blocks overlap or not', () => {
    const [a, b, c] = ['10.0.0.0/8', '10.1.0.0/16', '11.0.0.0/8'].map((text) => parseCidr(text)!);
    assert.deepEqual([overlap(a!, b!), overlap(b!, a!), overlap(a!, c!)], [true, true, false]);
    assert.ok(contains(b!, parseAddress('10.1.255.255')!) && !contains(b!, parseAddress('10.2.0.0')!));
    assert.equal(formatCidr(b!), '10.1.0.0/16');
  });

  it('follow from the MAC as RFC 4291 says', () => {
    const address = slaacAddress(parseCidr('2001:db8::/64')!, '52:54:00:12:34:56');
    assert.equal(formatAddress(address), '2001:db8::5054:ff:fe12:3456');
  });
});
