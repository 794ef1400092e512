import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import { OvsNetworkDriver } from './driver.ts';
import { runInside } from './testing.ts';

const [external, blue] = [randomUUID(), randomUUID()];
const outer = { macAddress: '52:54:00:0e:01:02', address: '203.0.113.10', floating: '203.0.113.20' };
const provider = { macAddress: '52:54:00:0e:01:03', addresses: ['203.0.113.1'], name: null, vteps: [] };
const [nicId, guestMac] = [randomUUID(), '52:54:00:0e:01:11'];
const inner = { macAddress: '52:54:00:0e:01:01', address: '10.1.0.1' };

function slice(): NetworkSlice {
  const outside = flatSlice(external);
  const vxlan = { ...outside.networks[0]!, networkId: blue, kind: 'vxlan' as const, segment: 5000 };
  return {
    ...outside,
    networks: [{ ...outside.networks[0]!, remotePorts: [provider] }, vxlan],
    ports: [
      {
        ...{ nicId, vmId: randomUUID(), networkId: blue, macAddress: guestMac, addresses: ['10.1.0.11'] },
        ...{ name: null, antiSpoofing: true, filtered: false, securityGroupIds: [], phase: 'active', connected: true },
        ...{ qos: null, guestVlan: null, hardware: false },
      },
    ],
    routers: [
      {
        ...{ routerId: randomUUID(), name: 'edge', macAddress: inner.macAddress },
        interfaces: [{ networkId: blue, address: inner.address, prefixLength: 24 }],
        gateway: {
          ...{ here: true, vtep: '127.0.0.1', externalNetworkId: external },
          ...{ macAddress: outer.macAddress, address: outer.address, prefixLength: 24 },
          ...{ nextHop: '203.0.113.1', snat: true },
          floating: [{ address: outer.floating, fixedAddress: '10.1.0.11', networkId: blue }],
        },
      },
    ],
  };
}

describe('gateways of routers', () => {
  let ovs: TestSwitch;
  let driver: OvsNetworkDriver;
  const open = () =>
    new OvsNetworkDriver({
      ...{ socketPath: ovs.socketPath, datapathType: 'netdev', uplinkBridge: 'br-phy' },
      ...{ tunnelAddress: '127.0.0.1', run: runInside(ovs) },
    });
  const flows = (): Promise<string> =>
    ovs.exec(['ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', `unix:${join(ovs.directory, 'br-int.mgmt')}`]);
  const answersOutside = async (): Promise<boolean[]> => {
    const lines = (await flows()).split('\n').filter((line) => line.includes('table=41,'));
    return [outer.address, outer.floating].map((address) => lines.some((line) => line.includes(`arp_tpa=${address},`)));
  };
  /** Tables of translation that have flows. */
  const translating = async (): Promise<boolean> => /table=(37|38|39|43|44|45),/.test(await flows());
  const routesWithin = async (): Promise<boolean> => /table=36,/.test(await flows());

  before(async () => {
    ovs = await TestSwitch.start();
    await ovs.vsctl('add-br', 'br-phy', '--', 'set', 'Bridge', 'br-phy', 'datapath_type=netdev');
    driver = open();
    await driver.apply(1, slice());
  });
  after(async () => {
    await driver.close();
    await ovs.stop();
  });

  it('end with the word of the agent, and come back with a slice; routes between networks stay', async () => {
    assert.deepEqual([await answersOutside(), await translating()], [[true, true], true]);
    await driver.endGateways();
    assert.deepEqual([await answersOutside(), await translating()], [[false, false], false]);
    assert.ok(await routesWithin());
    await driver.apply(2, slice());
    assert.deepEqual([await answersOutside(), await translating()], [[true, true], true]);
  });

  it('a trace follows a packet through the translation and out', async () => {
    await driver.apply(3, slice());
    await driver.attachPort(randomUUID(), { nicId, networkId: blue, macAddress: guestMac, model: 'virtio', mtu: 1400 });
    const { verdict, to, hops } = await driver.trace({
      from: { nicId },
      packet: {
        ...{ protocol: 6, sourceMac: guestMac, destinationMac: inner.macAddress },
        ...{ sourceAddress: '10.1.0.11', destinationAddress: '198.51.100.9', sourcePort: 4000, destinationPort: 443 },
      },
    });
    assert.deepEqual([verdict, to], ['sent', { uplink: 'default', networkId: external }], JSON.stringify(hops));
    const translation = hops.filter(({ stage }) => stage === 'translation out').map(({ text }) => text);
    assert.ok(translation.at(-1)?.includes(`nat(src=${outer.floating})`), translation.join('; '));
  });
});
