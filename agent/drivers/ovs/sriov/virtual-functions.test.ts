import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { RunProgram } from '../../program.ts';
import { FakeSysfs } from './testing.ts';
import { VirtualFunctions } from './virtual-functions.ts';

/** Two devices with two functions each; `ip` sets and shows what a kernel would keep. */
async function world(context: TestContext) {
  const device = (nic: string, bus: string) => ({
    nic,
    pciAddress: `0000:${bus}:00.0`,
    driver: 'ice',
    most: 8,
    virtualFunctions: [0, 1].map((n) => ({ pciAddress: `0000:${bus}:01.${n}`, driver: 'iavf' })),
  });
  const sysfs = await FakeSysfs.make([device('pf0', '03'), device('pf1', '04')]);
  context.after(() => sysfs.remove());
  const macs = new Map<string, string>();
  const commands: string[] = [];
  const run: RunProgram = (file, args) => {
    assert.equal(file, 'ip');
    if (args.includes('show')) {
      const vfs = [0, 1].map((vf) => ({ vf, address: macs.get(`${args.at(-1)}/${vf}`) ?? '00:00:00:00:00:00' }));
      return Promise.resolve({ stdout: JSON.stringify([{ vfinfo_list: vfs }]), stderr: '' });
    }
    commands.push(args.join(' '));
    macs.set(`${args[3]}/${args[5]}`, args[7]!);
    return Promise.resolve({ stdout: '', stderr: '' });
  };
  return { functions: new VirtualFunctions(run, sysfs.root), commands };
}

const wanted = (last: number, nics: readonly string[] = ['pf0']) => ({
  macAddress: `52:54:00:00:00:0${last}`,
  nics,
  vlanId: 100,
  maxSendMbps: 200,
});

test('a free function gets the MAC, VLAN and rate, and the same one when asked again', async (context) => {
  const { functions, commands } = await world(context);
  assert.deepEqual(await functions.hand(wanted(1)), { pciAddress: '0000:03:01.0' });
  assert.deepEqual(await functions.hand(wanted(1)), { pciAddress: '0000:03:01.0' });
  assert.deepEqual(await functions.hand(wanted(2)), { pciAddress: '0000:03:01.1' });
  assert.equal(
    commands[0],
    'link set dev pf0 vf 0 mac 52:54:00:00:00:01 vlan 100 max_tx_rate 200 spoofchk on trust off',
  );
  assert.ok(commands[2]?.startsWith('link set dev pf0 vf 1 '));
});

test('two that ask at once get two, the third is told how many there are', async (context) => {
  const { functions } = await world(context);
  const [a, b] = await Promise.all([functions.hand(wanted(1)), functions.hand(wanted(2))]);
  assert.notEqual(a?.pciAddress, b?.pciAddress);
  await assert.rejects(functions.hand(wanted(3)), /0 of 2 virtual functions free on pf0/);
  assert.deepEqual(await functions.hand(wanted(3, ['pf0', 'pf1'])), { pciAddress: '0000:04:01.0' });
});

test('what is taken back is free for the next, and taking back twice is no error', async (context) => {
  const { functions, commands } = await world(context);
  await functions.hand(wanted(1));
  await functions.hand(wanted(2));
  await functions.takeBack(wanted(1).macAddress);
  const before = commands.length;
  await functions.takeBack(wanted(1).macAddress);
  assert.equal(commands.length, before);
  assert.deepEqual(await functions.hand(wanted(3)), { pciAddress: '0000:03:01.0' });
});
