/**
 * Runs as root inside the machine that `main.ts` boots: `igb` and a virtio NIC on one wire. Divides the device as an
 * administrator does, and lets the agent's own code read it, hand functions out and take them back. What the device then does
 * is asked of the kernel and of packets. One line for each thing that holds or not. Then the move of `move.ts`.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { PhysicalFunction } from '@kvasir/api/agent/host.ts';
import { readPhysicalFunctions } from '@kvasir/agent/drivers/ovs/sriov/physical-functions.ts';
import { VirtualFunctions } from '@kvasir/agent/drivers/ovs/sriov/virtual-functions.ts';
import { runProgram } from '@kvasir/agent/drivers/program.ts';
import { wireMac } from './addresses.ts';
import { answers, counts, holds, intoNamespace, ip, print, until } from './checks.ts';
import { checkMove } from './move.ts';
import { netDeviceOf, netDeviceWithMac } from './net-devices.ts';

interface ShownFunction {
  readonly vf: number;
  readonly address: string;
  readonly vlan_list: readonly { readonly vlan?: number }[];
  readonly rate: { readonly max_tx: number };
  readonly spoofchk: boolean;
  readonly trust: boolean;
}

const nobody = '00:00:00:00:00:00';
const [macA, macB] = ['52:54:00:00:00:0a', '52:54:00:00:00:0b'];
const count = 3;

async function shown(index: number): Promise<ShownFunction> {
  const [link] = JSON.parse(await ip(`-json -details link show dev ${device}`)) as { vfinfo_list: ShownFunction[] }[];
  return link!.vfinfo_list[index]!;
}

async function readOne(): Promise<PhysicalFunction> {
  return (await readPhysicalFunctions()).find(({ nic }) => nic === device)!;
}

/** As when a function goes to a guest: its driver learns the MAC only when it begins. */
function reloadDriver(pciAddress: string): void {
  for (const file of ['unbind', 'bind']) writeFileSync(`/sys/bus/pci/drivers/igbvf/${file}`, pciAddress);
}

const device = netDeviceOf('0000:01:00.0');
const otherEnd = netDeviceWithMac(wireMac);
const sysfs = `/sys/class/net/${device}`;
const plugged = new Set<string>();
const functions = new VirtualFunctions(runProgram, () => plugged);
const want = (macAddress: string, maxSendMbps: number | null) => {
  plugged.add(macAddress);
  return functions.hand({ macAddress, nics: [device], vlanId: 100, maxSendMbps });
};

print(`Linux ${(await runProgram('uname', ['-r'])).stdout.trim()}, ${(await ip('-V')).trim()}`);
writeFileSync(`${sysfs}/device/sriov_numvfs`, String(count));
const pciAddresses = Array.from({ length: count }, (_, n) => `0000:01:10.${2 * n}`);

await holds('the inventory tells the device and its functions', async () => {
  const driver = 'igbvf';
  await until('igbvf has its functions', async () =>
    (await readOne()).virtualFunctions.every((each) => each.driver === driver),
  );
  const virtualFunctions = pciAddresses.map((pciAddress, index) => ({ index, pciAddress, driver }));
  const fixed = { nic: device, pciAddress: '0000:01:00.0', driver: 'igb', switchHardwareId: null, most: 7 };
  assert.deepEqual(await readOne(), { ...fixed, virtualFunctions });
});

await holds('while the link is down a rate is refused, and the function stays free', async () => {
  await assert.rejects(want(macA, 200), /Invalid argument/);
  assert.equal((await shown(0)).address, nobody);
  plugged.clear();
});

await ip(`link set ${device} up`);
await until('the link is up', async () => (await ip(`link show dev ${device}`)).includes('LOWER_UP'));

await holds("the host's driver gives a function an address by chance, and it is free all the same", async () => {
  reloadDriver(pciAddresses[0]!);
  await ip(`link set ${netDeviceOf(pciAddresses[0]!)} up`);
  await until('an address by chance is shown', async () => (await shown(0)).address !== nobody);
  await ip(`link set ${netDeviceOf(pciAddresses[0]!)} down`);
  assert.deepEqual(await want(macA, 200), { pciAddress: pciAddresses[0] });
});

await holds('MAC, VLAN and rate are set', async () => {
  const { address, vlan_list, rate, spoofchk, trust } = await shown(0);
  assert.deepEqual(
    { address, vlan: vlan_list[0]?.vlan, rate: rate.max_tx, spoofchk, trust },
    { address: macA, vlan: 100, rate: 200, spoofchk: true, trust: false },
  );
});

await holds('a rate above that of the wire is none, and each NIC keeps its function', async () => {
  assert.deepEqual(await want(macB, 2000), { pciAddress: pciAddresses[1] });
  assert.equal((await shown(1)).rate.max_tx, 0);
  assert.deepEqual(await want(macA, 200), { pciAddress: pciAddresses[0] });
});

await intoNamespace('wire', otherEnd, '10.1.0.9/24');
await ip(`-n wire link add link ${otherEnd} name tagged type vlan id 100`);
await ip('-n wire address add 10.100.0.9/24 dev tagged');
await ip('-n wire link set tagged up');
for (const each of pciAddresses.slice(0, 2)) reloadDriver(each);
const linkA = netDeviceOf(pciAddresses[0]!);
await intoNamespace('a', linkA, '10.100.0.1/24');
await ip(`-n a address add 10.1.0.1/24 dev ${linkA}`);
await intoNamespace('b', netDeviceOf(pciAddresses[1]!), '10.100.0.2/24');

await holds('a function reaches the wire and another function in its VLAN, and nothing outside it', async () => {
  await until('a reaches the wire', () => answers('a', '10.100.0.9'));
  await until('a reaches b', () => answers('a', '10.100.0.2'));
  for (let tries = 0; tries < 3; tries++) assert.equal(await answers('a', '10.1.0.9'), false);
});

await holds('who has the function cannot change its MAC', async () => {
  await assert.rejects(ip(`-n a link set ${linkA} address 52:54:00:00:00:77`), /Cannot assign requested address/);
});

await holds('what is taken back is no longer in the VLAN, and is handed out again', async () => {
  await functions.takeBack(macA);
  plugged.delete(macA);
  assert.notEqual((await shown(0)).address, macA);
  assert.equal((await shown(0)).vlan_list[0]?.vlan, undefined);
  for (let tries = 0; tries < 3; tries++) assert.equal(await answers('a', '10.100.0.9'), false);
  assert.deepEqual(await want('52:54:00:00:00:0c', null), { pciAddress: pciAddresses[0] });
});

await checkMove();

print(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
