/** Frames through a real switch: delivery, isolation, protection against forged senders, answers given in place. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import { FlowLab } from './testing/flow-lab.ts';
import { arpRequest, type Station, udp } from './testing/frames.ts';
import { localSwitch, network, port, slice } from './testing/slices.ts';

const a1: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const a2: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ a1: 11, a2: 12, a3: 13, a4: 14, uplink: 3, wan: 4 });
});
after(() => lab.stop());

test('two ports of a network talk, ARP is answered in place', async () => {
  const given = slice({
    networks: [network('blue')],
    ports: [
      port('a1', { macAddress: a1.mac, addresses: [a1.ip] }),
      port('a2', { macAddress: a2.mac, addresses: [a2.ip] }),
    ],
  });
  await lab.load(compile(given, localSwitch(given, { tunnelPort: null })));
  assert.deepEqual(await lab.send('a1', udp(a1, a2, [1000, 53])), { a2: ['a1>a2 10.0.0.1>10.0.0.2 udp 1000>53'] });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, a2.ip)), { a1: ['a2>a1 arp 10.0.0.2 is at a2'] });
});
