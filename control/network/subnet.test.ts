import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { contains, formatAddress, parseAddress } from './address.ts';
import { candidates, cidrOf, isFault, isUsable, planSubnet, poolSize, type Subnet } from './subnet.ts';

const anySubnet = fc
  .record({ base: fc.integer({ min: 0x0a000000, max: 0x0affffff }), prefix: fc.integer({ min: 20, max: 30 }) })
  .map(({ base, prefix }) => {
    const size = 2 ** (32 - prefix);
    const first = formatAddress({ family: 'ipv4', value: BigInt(base - (base % size)) });
    return planSubnet({ cidr: `${first}/${prefix}` }) as Subnet;
  });

describe('subnets', () => {
  it('give out only what a port may have, each address once in a round', () => {
    fc.assert(
      fc.property(anySubnet, fc.nat(5000), fc.integer({ min: 1, max: 64 }), (subnet, start, count) => {
        assert.ok(!isFault(subnet));
        const found = candidates(subnet, '52:54:00:00:00:01', start, count);
        assert.equal(new Set(found).size, found.length);
        for (const text of found) {
          const address = parseAddress(text)!;
          assert.ok(contains(cidrOf(subnet), address) && isUsable(cidrOf(subnet), address) && text !== subnet.gateway);
        }
      }),
    );
  });

  it('give out everything but the gateway, whatever place one begins at', () => {
    fc.assert(
      fc.property(anySubnet, fc.nat(5000), (subnet, start) => {
        const size = poolSize(subnet);
        assert.equal(candidates(subnet, '', start, size).length, size - 1);
      }),
      { numRuns: 30 },
    );
  });

  it('begin behind the gateway', () => {
    const subnet = planSubnet({ cidr: '10.0.0.0/24' }) as Subnet;
    assert.deepEqual(candidates(subnet, '', 0, 3), ['10.0.0.2', '10.0.0.3']);
    assert.deepEqual(
      [subnet.gateway, subnet.allocationFrom, subnet.allocationTo],
      ['10.0.0.1', '10.0.0.1', '10.0.0.254'],
    );
  });

  it('say what is wrong with them', () => {
    const faults = {
      '/cidr': [
        { cidr: '10.0.0.0/31' },
        { cidr: '224.0.0.0/8' },
        { cidr: 'fd00::/48' },
        { cidr: 'ff00::/64' },
        { cidr: '169.254.169.0/24' },
        { cidr: '169.0.0.0/8' },
        { cidr: 'fe80::/64' },
      ],
      '/gateway': [
        { cidr: '10.0.0.0/24', gateway: '10.0.0.0' },
        { cidr: '10.0.0.0/24', gateway: '' },
      ],
      '/allocationFrom': [{ cidr: '10.0.0.0/24', allocationFrom: '10.0.0.255' }],
      '/dnsServers/1': [
        { cidr: '10.0.0.0/24', dnsServers: ['10.0.0.3', 'x'] },
        { cidr: '10.0.0.0/24', dnsServers: ['10.0.0.3', 'fd00::53'] },
        { cidr: 'fd00::/64', dnsServers: ['fd00::53', '10.0.0.3'] },
      ],
    };
    for (const [path, requests] of Object.entries(faults)) {
      for (const request of requests) {
        const planned = planSubnet(request);
        assert.equal(isFault(planned) && planned.path, path, request.cidr);
      }
    }
  });
});
