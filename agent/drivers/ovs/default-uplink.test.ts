/** What a host says of its default uplink follows the cables of the administrator's bridge, whatever else is plugged in there. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import { OvsNetworkDriver } from './driver.ts';
import { runInside } from './testing.ts';

let ovs: TestSwitch;
let driver: OvsNetworkDriver;

before(async () => {
  ovs = await TestSwitch.start();
  await ovs.vsctl('add-br', 'br-phy', '--', 'set', 'Bridge', 'br-phy', 'datapath_type=netdev');
  driver = new OvsNetworkDriver({
    ...{ socketPath: ovs.socketPath, datapathType: 'netdev', uplinkBridge: 'br-phy', run: runInside(ovs) },
  });
  await driver.apply(1, flatSlice(randomUUID()));
});
after(async () => {
  await driver.close();
  await ovs.stop();
});

const told = async () => (await driver.report()).defaultUplink;
async function untilTold(expected: Awaited<ReturnType<typeof told>>): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; await delay(50)) {
    if (JSON.stringify(await told()) === JSON.stringify(expected)) return;
  }
  assert.deepEqual(await told(), expected);
}

it('is up while one of its NICs has a carrier, and nothing is told of a bridge without any', async () => {
  await untilTold(null);
  for (const nic of ['e1', 'e2']) {
    await ovs.exec(['ip', 'link', 'add', nic, 'type', 'veth', 'peer', 'name', `far-${nic}`]);
    for (const end of [nic, `far-${nic}`]) await ovs.exec(['ip', 'link', 'set', end, 'up']);
    await ovs.vsctl('add-port', 'br-phy', nic);
  }
  await untilTold({ nics: ['e1', 'e2'], up: true });
  await ovs.exec(['ip', 'link', 'set', 'far-e1', 'down']);
  await untilTold({ nics: ['e1', 'e2'], up: true });
  await ovs.exec(['ip', 'link', 'set', 'far-e2', 'down']);
  await untilTold({ nics: ['e1', 'e2'], up: false });
  await ovs.exec(['ip', 'link', 'set', 'far-e2', 'up']);
  await untilTold({ nics: ['e1', 'e2'], up: true });
});
