/** What every `NetworkDriver` does: run on the simulated host in each test run, and on real switches. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { emptySlice } from '@kvasir/api/agent/network-slice.ts';
import { flatSlice } from './flat-slice.ts';
import type { NetworkDriver, Port } from './network.ts';

export interface NetworkHarness {
  readonly driver: NetworkDriver;
  /** A new driver on the same host in place of the old one, as after a restart of the agent; it is told its slice again. */
  restart(): Promise<NetworkDriver>;
  /** Whether the host has a device of this name. */
  deviceExists(device: string): Promise<boolean>;
  close(): Promise<void>;
}

export function networkContract(name: string, makeHarness: () => Promise<NetworkHarness>): void {
  describe(`network contract: ${name}`, () => {
    let harness: NetworkHarness;
    let driver: NetworkDriver;
    const networkId = randomUUID();
    const vmId = randomUUID();
    const nic = (): NicSpec => ({
      nicId: randomUUID(),
      networkId,
      macAddress: '52:54:00:12:34:56',
      model: 'virtio',
      mtu: 1450,
    });
    const ports = async () => byNic(await driver.listPorts());

    before(async () => {
      harness = await makeHarness();
      driver = harness.driver;
      await driver.apply(5, flatSlice(networkId));
    });
    after(() => harness.close());

    it('tells its versions', async () => {
      const versions = Object.entries(await driver.versions());
      assert.ok(versions.length > 0);
      for (const [, version] of versions) assert.ok(version.length > 0);
    });

    it('the same generation may come again, an older one is refused', async () => {
      const slice = flatSlice(networkId);
      await driver.apply(5, slice);
      await driver.apply(6, slice);
      await assert.rejects(driver.apply(5, emptySlice), { code: 'wrong-state' });
      const port = nic();
      await driver.attachPort(vmId, port);
      await driver.detachPort(port.nicId);
    });

    it('gateways end until the next slice says otherwise, and nothing else does', async () => {
      const port = nic();
      await driver.attachPort(vmId, port);
      await driver.endGateways();
      await driver.endGateways();
      assert.ok((await driver.listPorts()).some(({ nicId }) => nicId === port.nicId));
      await driver.apply(6, flatSlice(networkId));
      await driver.detachPort(port.nicId);
    });

    it('attaching makes the device and the port; attaching again changes nothing', async () => {
      const port = nic();
      const first = await driver.attachPort(vmId, port);
      assert.ok(first.device.length <= 15);
      assert.ok(await harness.deviceExists(first.device));
      assert.deepEqual(await driver.attachPort(vmId, port), first);
      assert.deepEqual(await ports(), [{ nicId: port.nicId, vmId, networkId }]);
      await driver.detachPort(port.nicId);
    });

    it('detaching removes both, and succeeds when nothing is there', async () => {
      const port = nic();
      const { device } = await driver.attachPort(vmId, port);
      await driver.detachPort(port.nicId);
      assert.equal(await harness.deviceExists(device), false);
      assert.deepEqual(await ports(), []);
      await driver.detachPort(port.nicId);
      await driver.detachPort(randomUUID());
    });

    it('many ports at once get devices of their own', async () => {
      const nics = Array.from({ length: 8 }, nic);
      const devices = await Promise.all(nics.map((port) => driver.attachPort(vmId, port)));
      assert.equal(new Set(devices.map(({ device }) => device)).size, nics.length);
      assert.deepEqual(await ports(), byNic(nics.map(({ nicId }) => ({ nicId, vmId, networkId }))));
      await Promise.all(nics.map((port) => driver.detachPort(port.nicId)));
      assert.deepEqual(await ports(), []);
    });

    it('attach and detach of one NIC at the same time end as the last one says', async () => {
      const port = nic();
      await Promise.all([driver.attachPort(vmId, port), driver.detachPort(port.nicId), driver.attachPort(vmId, port)]);
      assert.equal((await ports()).length, 1);
      await driver.detachPort(port.nicId);
    });

    it('a network that is not served here is refused and leaves nothing', async () => {
      const port = { ...nic(), networkId: randomUUID() };
      await assert.rejects(driver.attachPort(vmId, port), { code: 'not-found' });
      assert.deepEqual(await ports(), []);
    });

    it('a restarted agent finds networks and ports as they were', async () => {
      const port = nic();
      const attached = await driver.attachPort(vmId, port);
      driver = await harness.restart();
      await driver.apply(6, flatSlice(networkId));
      assert.deepEqual(await ports(), [{ nicId: port.nicId, vmId, networkId }]);
      assert.deepEqual(await driver.attachPort(vmId, port), attached);
      await driver.attachPort(vmId, { ...nic(), nicId: port.nicId, macAddress: '52:54:00:00:00:01' });
      await driver.detachPort(port.nicId);
      assert.deepEqual(await ports(), []);
    });
  });
}

function byNic(ports: readonly Port[]): Port[] {
  return [...ports].sort((a, b) => a.nicId.localeCompare(b.nicId));
}
