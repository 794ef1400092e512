import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { readPhysicalFunctions } from './physical-functions.ts';
import { type FakeDevice, FakeSysfs } from './testing.ts';

async function read(context: TestContext, devices: readonly FakeDevice[]) {
  const sysfs = await FakeSysfs.make(devices);
  context.after(() => sysfs.remove());
  return await readPhysicalFunctions(sysfs.root);
}

const divided: FakeDevice = {
  nic: 'enp3s0f0',
  pciAddress: '0000:03:00.0',
  driver: 'ice',
  most: 64,
  switchHardwareId: '5c0000aa',
  virtualFunctions: Array.from({ length: 11 }, (_, index) => ({
    pciAddress: `0000:03:01.${index.toString(16)}`,
    driver: index === 1 ? 'vfio-pci' : index === 2 ? null : 'iavf',
  })),
};

test('a divided device is told with its functions, in the order of their numbers', async (context) => {
  const [only, ...others] = await read(context, [divided]);
  assert.deepEqual(others, []);
  const { virtualFunctions, ...device } = only!;
  assert.deepEqual(device, {
    nic: 'enp3s0f0',
    pciAddress: '0000:03:00.0',
    driver: 'ice',
    switchHardwareId: '5c0000aa',
    most: 64,
  });
  assert.deepEqual(
    virtualFunctions.map(({ index }) => index),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  assert.deepEqual(virtualFunctions.slice(0, 3), [
    { index: 0, pciAddress: '0000:03:01.0', driver: 'iavf' },
    { index: 1, pciAddress: '0000:03:01.1', driver: 'vfio-pci' },
    { index: 2, pciAddress: '0000:03:01.2', driver: null },
  ]);
});

test('a device that could be divided is told; plain ones and second ports of one function are not', async (context) => {
  const found = await read(context, [
    { nic: 'eno1', pciAddress: '0000:00:19.0', driver: 'e1000e' },
    { nic: 'enp4s0', pciAddress: '0000:04:00.0', driver: 'igb', most: 7 },
    { nic: 'enp5s0d1', pciAddress: '0000:05:00.0', driver: 'mlx4_core', most: 8, devicePort: 1 },
  ]);
  assert.deepEqual(
    found.map(({ nic, most, switchHardwareId, virtualFunctions }) => ({
      nic,
      most,
      switchHardwareId,
      virtualFunctions,
    })),
    [{ nic: 'enp4s0', most: 7, switchHardwareId: null, virtualFunctions: [] }],
  );
});

test('without sysfs there is nothing', async () => {
  assert.deepEqual(await readPhysicalFunctions('/nonexistent'), []);
});
