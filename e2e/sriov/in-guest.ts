/**
 * Runs as root inside the machine that `main.ts` boots: `igb` and a virtio NIC on one wire. Divides the device as an
 * administrator does, and lets the agent's own code read it, hand functions out and take them back. What the device then does
 * is asked of the kernel and of packets. One line for each thing that holds or not.
 */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readPhysicalFunctions } from '@kvasir/agent/drivers/ovs/sriov/physical-functions.ts';
import { VirtualFunctions } from '@kvasir/agent/drivers/ovs/sriov/virtual-functions.ts';
import { runProgram } from '@kvasir/agent/drivers/program.ts';

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
let passed = 0;
let failed = 0;

async function holds(sentence: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
    passed++;
    print(`ok      ${sentence}`);
  } catch (error) {
    failed++;
    print(`FAILED  ${sentence}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 90_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await pause(200);
  }
}

async function ip(words: string): Promise<string> {
  return (await runProgram('ip', words.split(' '))).stdout;
}

async function shown(index: number): Promise<ShownFunction> {
  const [link] = JSON.parse(await ip(`-json -details link show dev ${device}`)) as { vfinfo_list: ShownFunction[] }[];
  return link!.vfinfo_list[index]!;
}

function answers(namespace: string, address: string): Promise<boolean> {
  const ping = ['netns', 'exec', namespace, 'ping', '-c', '1', '-W', '2', address];
  return runProgram('ip', ping).then(
    () => true,
    () => false,
  );
}

function netDeviceWith(driver: string): string {
  const found = readdirSync('/sys/class/net').find((name) => {
    try {
      return basename(readlinkSync(`/sys/class/net/${name}/device/driver`)) === driver;
    } catch {
      return false;
    }
  });
  assert.ok(found, `there is no network device of ${driver}`);
  return found;
}

const netDeviceOf = (pciAddress: string) => readdirSync(`/sys/bus/pci/devices/${pciAddress}/net`)[0]!;

/** As when a function goes to a guest: its driver learns the MAC only when it begins. */
function reloadDriver(pciAddress: string): void {
  for (const file of ['unbind', 'bind']) writeFileSync(`/sys/bus/pci/drivers/igbvf/${file}`, pciAddress);
}

async function intoNamespace(name: string, link: string, address: string): Promise<void> {
  await ip(`netns add ${name}`);
  await ip(`link set ${link} netns ${name}`);
  await ip(`-n ${name} address add ${address} dev ${link}`);
  await ip(`-n ${name} link set ${link} up`);
}

const device = netDeviceWith('igb');
const otherEnd = netDeviceWith('virtio_net');
const sysfs = `/sys/class/net/${device}`;
const plugged = new Set<string>();
const functions = new VirtualFunctions(runProgram, (macAddress) => plugged.has(macAddress));
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
    (await readPhysicalFunctions())[0]!.virtualFunctions.every((each) => each.driver === driver),
  );
  const virtualFunctions = pciAddresses.map((pciAddress, index) => ({ index, pciAddress, driver }));
  const fixed = { nic: device, pciAddress: '0000:01:00.0', driver: 'igb', switchHardwareId: null, most: 7 };
  assert.deepEqual(await readPhysicalFunctions(), [{ ...fixed, virtualFunctions }]);
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

print(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
