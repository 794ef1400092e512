/** A NIC with a function through the driver's methods: the switch is real, the device is played. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import type { RunProgram } from '../program.ts';
import { OvsNetworkDriver } from './driver.ts';
import { FakeSysfs } from './sriov/testing.ts';
import { runInside } from './testing.ts';

const [networkId, switchId, vmId] = [randomUUID(), randomUUID(), randomUUID()];
const macAddress = '52:54:00:aa:00:02';
const nobody = '00:00:00:00:00:00';
const nic = { nicId: randomUUID(), networkId, macAddress, model: 'virtio' as const, mtu: 1500, direct: true as const };

describe('a NIC with a virtual function', () => {
  let ovs: TestSwitch;
  let sysfs: FakeSysfs;
  let driver: OvsNetworkDriver;
  /** What the device has of its one function. */
  let shown = nobody;

  const open = async (): Promise<void> => {
    const inside = runInside(ovs);
    const run: RunProgram = (file, args, options) => {
      const asked = args.join(' ');
      if (asked === '-json -details link show dev pf0') {
        const stdout = JSON.stringify([{ vfinfo_list: [{ vf: 0, address: shown }] }]);
        return Promise.resolve({ stdout, stderr: '' });
      }
      const set = /^link set dev pf0 vf 0 mac (\S+)/.exec(asked);
      if (file !== 'ip' || set === null) return inside(file, args, options);
      shown = set[1]!;
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    driver = new OvsNetworkDriver({ socketPath: ovs.socketPath, datapathType: 'netdev', run, sysfs: sysfs.root });
    const { networks, ...rest } = flatSlice(networkId);
    const slice: NetworkSlice = {
      ...rest,
      networks: networks.map((network) => ({ ...network, switchId })),
      uplinks: [{ uplinkId: randomUUID(), switchId, name: 'u', nics: ['pf0'], bond: 'active-backup', lacpFast: false }],
    };
    await driver.apply(1, slice);
  };

  before(async () => {
    ovs = await TestSwitch.start();
    await ovs.exec(['ip', 'link', 'add', 'pf0', 'type', 'veth', 'peer', 'name', 'far-pf0']);
    const virtualFunctions = [{ pciAddress: '0000:03:10.0', driver: null }];
    sysfs = await FakeSysfs.make([
      { nic: 'pf0', pciAddress: '0000:03:00.0', driver: 'igb', most: 7, virtualFunctions },
    ]);
    await open();
  });
  after(async () => {
    await driver.close();
    await ovs.stop();
    await sysfs.remove();
  });

  it('gets one that carries or rests, keeps it over restarts of the agent, and gives it back', async () => {
    const { virtualFunction } = await driver.attachPort(vmId, nic, 'rests');
    assert.deepEqual(virtualFunction, { pciAddress: '0000:03:10.0' });
    const resting = shown;
    assert.ok(![macAddress, nobody].includes(resting));
    await driver.setFunction(nic.nicId, 'carries');
    assert.equal(shown, macAddress);
    await driver.setFunction(nic.nicId, 'rests');
    assert.equal(shown, resting);
    await driver.close();
    await open();
    assert.deepEqual((await driver.attachPort(vmId, nic)).virtualFunction, virtualFunction);
    assert.equal(shown, resting, 'rests still');
    await driver.setFunction(nic.nicId, 'carries');
    assert.equal(shown, macAddress);
    await driver.setFunction(nic.nicId, 'rests');
    await driver.detachPort(nic.nicId);
    assert.equal(shown, nobody);
  });

  it('a NIC that is not here, or has none, changes nothing', async () => {
    await driver.setFunction(randomUUID(), 'rests');
    const { direct: _direct, ...switched } = nic;
    const plain = { ...switched, nicId: randomUUID(), macAddress: '52:54:00:aa:00:03' };
    await driver.attachPort(vmId, plain);
    await driver.setFunction(plain.nicId, 'rests');
    assert.equal(shown, nobody);
    await driver.detachPort(plain.nicId);
  });
});
