/** Whom gateways believe about MACs on the external network. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { noNumbers } from '@kvasir/ovs/compile/numbers.ts';
import { ExternalNeighbours } from './external-neighbours.ts';
import { arpFrame, readArp } from './responders/arp.ts';

const gateway = {
  ...{ here: true, vtep: '172.31.0.1', externalNetworkId: 'outside', macAddress: '52:54:00:ee:00:01' },
  ...{ address: '203.0.113.2', prefixLength: 24, nextHop: '203.0.113.1', snat: true, floating: [] },
};
const slice: NetworkSlice = {
  ...{ uplinks: [], networks: [], ports: [], groups: [], addressSets: [], mirrors: [] },
  routers: [{ routerId: 'edge', name: 'edge', macAddress: '52:54:00:ee:00:00', interfaces: [], gateway }],
};

function answer(mac: string, address: string): Buffer {
  const frame = arpFrame(mac, address, gateway.address);
  frame[21] = 2;
  return frame;
}

test('an answer that nobody asked for is not learned, and does not program the switch anew', () => {
  const sent: Uint8Array[] = [];
  let changes = 0;
  const neighbours = new ExternalNeighbours({
    send: ({ data }) => void sent.push(data),
    changed: () => (changes += 1),
  });
  try {
    neighbours.serve(slice, { ...noNumbers, routers: { edge: 5 } }, new Map([['outside', { port: 3, vlan: 0 }]]));
    assert.ok(sent.some((frame) => readArp(frame)?.senderAddress === gateway.address));
    for (let host = 10; host < 250; host += 1) neighbours.heard(5, answer('52:54:00:00:00:66', `203.0.113.${host}`));
    assert.deepEqual([neighbours.macs.outside ?? {}, changes], [{}, 0]);
    neighbours.heard(5, answer('52:54:00:00:00:01', gateway.nextHop));
    assert.deepEqual([neighbours.macs.outside, changes], [{ '203.0.113.1': '52:54:00:00:00:01' }, 1]);
    // Who is known may move.
    neighbours.heard(5, answer('52:54:00:00:00:02', gateway.nextHop));
    assert.equal(neighbours.macs.outside?.['203.0.113.1'], '52:54:00:00:00:02');
  } finally {
    neighbours.close();
  }
});
