import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { FunctionState } from '../../network.ts';
import type { RunProgram } from '../../program.ts';
import { FakeSysfs } from './testing.ts';
import { VirtualFunctions } from './virtual-functions.ts';

interface Surroundings {
  /** undefined: the links are down. */
  readonly speedMbps?: number;
  readonly driver?: string;
  /** Of the first function of each device; the others' network devices are down. */
  readonly hostFlags?: string;
  /** What the functions have before anybody asks: `pf0/1` -> MAC. */
  readonly macs?: Readonly<Record<string, string>>;
}

/**
 * Two devices with two functions each. `ip` keeps, shows and refuses what was seen of igb (Linux 6.1): a rate needs a link and is
 * at most its speed; what comes before it in the kernel's order is kept when it is refused.
 */
async function world(context: TestContext, surroundings: Surroundings = {}) {
  const { driver = 'igbvf' } = surroundings;
  const device = (nic: string, bus: string) => ({
    nic,
    pciAddress: `0000:${bus}:00.0`,
    driver: 'igb',
    most: 7,
    ...('speedMbps' in surroundings ? { speedMbps: surroundings.speedMbps } : {}),
    virtualFunctions: [0, 1].map((n) => ({
      pciAddress: `0000:${bus}:10.${2 * n}`,
      driver,
      hostFlags: n === 0 ? (surroundings.hostFlags ?? '0x1002') : '0x1002',
    })),
  });
  const sysfs = await FakeSysfs.make([device('pf0', '03'), device('pf1', '04')]);
  context.after(() => sysfs.remove());
  const macs = new Map<string, string>(Object.entries(surroundings.macs ?? {}));
  const plugged = new Set<string>();
  const commands: string[] = [];
  const run: RunProgram = (file, args) => {
    assert.equal(file, 'ip');
    if (args.includes('show')) {
      const vfs = [0, 1].map((vf) => ({ vf, address: macs.get(`${args.at(-1)}/${vf}`) ?? '00:00:00:00:00:00' }));
      return Promise.resolve({ stdout: JSON.stringify([{ vfinfo_list: vfs }]), stderr: '' });
    }
    commands.push(args.join(' '));
    macs.set(`${args[3]}/${args[5]}`, args[7]!);
    const rate = args.includes('max_tx_rate') ? Number(args[args.indexOf('max_tx_rate') + 1]) : 0;
    if (rate > (surroundings.speedMbps ?? 0)) {
      return Promise.reject(new KvasirError('host-failed', { reason: 'ip: RTNETLINK answers: Invalid argument' }));
    }
    return Promise.resolve({ stdout: '', stderr: '' });
  };
  const functions = new VirtualFunctions(run, () => plugged, sysfs.root);
  const hand = (wanted: ReturnType<typeof want>, state?: FunctionState) => {
    plugged.add(wanted.macAddress);
    return functions.hand(wanted, state);
  };
  const takeBack = async (macAddress: string) => {
    await functions.takeBack(macAddress);
    plugged.delete(macAddress);
  };
  const setState = functions.setState.bind(functions);
  return { hand, setState, takeBack, commands, macs, plugged };
}

const connected = { speedMbps: 1000 };
const byChance = '56:6b:7e:4a:0b:03';

const want = (last: number, nics: readonly string[] = ['pf0']) => ({
  macAddress: `52:54:00:00:00:0${last}`,
  nics,
  vlanId: 100,
  maxSendMbps: 200,
});

test('a free function gets the MAC, VLAN and rate, and the same one when asked again', async (context) => {
  const { hand, commands } = await world(context, connected);
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.0' });
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.0' });
  assert.deepEqual(await hand(want(2)), { pciAddress: '0000:03:10.2' });
  assert.equal(
    commands[0],
    'link set dev pf0 vf 0 mac 52:54:00:00:00:01 vlan 100 max_tx_rate 200 spoofchk on trust off',
  );
  assert.ok(commands[2]?.startsWith('link set dev pf0 vf 1 '));
});

test('two that ask at once get two, the third is told how many there are', async (context) => {
  const { hand } = await world(context, connected);
  const [a, b] = await Promise.all([hand(want(1)), hand(want(2))]);
  assert.notEqual(a?.pciAddress, b?.pciAddress);
  await assert.rejects(hand(want(3)), /0 of 2 virtual functions free on pf0/);
  assert.deepEqual(await hand(want(3, ['pf0', 'pf1'])), { pciAddress: '0000:04:10.0' });
});

test('what is taken back is free for the next, and taking back twice is no error', async (context) => {
  const { hand, takeBack, commands } = await world(context, connected);
  await hand(want(1));
  await hand(want(2));
  await takeBack(want(1).macAddress);
  const before = commands.length;
  await takeBack(want(1).macAddress);
  assert.equal(commands.length, before);
  assert.deepEqual(await hand(want(3)), { pciAddress: '0000:03:10.0' });
});

test("an address that the host's driver made up does not take a function away", async (context) => {
  const { hand, macs } = await world(context, { ...connected, macs: { 'pf0/0': byChance, 'pf0/1': byChance } });
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.0' });
  assert.deepEqual(await hand(want(2)), { pciAddress: '0000:03:10.2' });
  assert.deepEqual([...macs.values()], [want(1).macAddress, want(2).macAddress]);
});

test('a function that a VM drives is not handed out, also when no NIC here is known to have it', async (context) => {
  const { hand } = await world(context, { ...connected, driver: 'vfio-pci', macs: { 'pf0/0': byChance } });
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.2' });
  await assert.rejects(hand(want(2)), /0 of 2 virtual functions free/);
});

test('a function that the host has up is not handed out when it has an address', async (context) => {
  const macs = { 'pf0/0': byChance, 'pf0/1': byChance };
  const { hand } = await world(context, { ...connected, hostFlags: '0x1003', macs });
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.2' });
  await assert.rejects(hand(want(2)), /0 of 2 virtual functions free/);
});

test('a limit above the speed of the wire is none', async (context) => {
  const { hand, commands } = await world(context, connected);
  await hand({ ...want(1), maxSendMbps: 2000 });
  assert.match(commands[0]!, / max_tx_rate 0 /);
});

test('a refused setting leaves the function free, but does not take it from the NIC that had it', async (context) => {
  const { hand, macs, plugged } = await world(context);
  await assert.rejects(hand(want(1)), /Invalid argument/);
  assert.equal(macs.get('pf0/0'), '00:00:00:00:00:00');
  plugged.clear();
  const had = await hand({ ...want(2), maxSendMbps: 0 });
  await assert.rejects(hand(want(2)), /Invalid argument/);
  assert.equal(macs.get('pf0/0'), want(2).macAddress);
  assert.deepEqual(had, { pciAddress: '0000:03:10.0' });
});

const resting = 'f2:54:00:00:00:01';

test('a function that rests leaves its address to others and stays the NIC’s, with its VLAN, and carries again', async (context) => {
  const { hand, setState, macs, commands } = await world(context, connected);
  await hand(want(1));
  await setState(want(1).macAddress, 'rests');
  assert.equal(macs.get('pf0/0'), resting);
  assert.equal(commands.at(-1), `link set dev pf0 vf 0 mac ${resting}`, 'and nothing else is changed');
  assert.deepEqual(await hand(want(2)), { pciAddress: '0000:03:10.2' });
  await assert.rejects(hand(want(3)), /0 of 2 virtual functions free/);
  const before = commands.length;
  await setState(want(1).macAddress, 'rests');
  assert.equal(commands.length, before);
  await setState(want(1).macAddress, 'carries');
  assert.equal(macs.get('pf0/0'), want(1).macAddress);
  await setState(want(3).macAddress, 'carries');
  assert.deepEqual([...macs.values()], [want(1).macAddress, want(2).macAddress]);
});

test('one that is handed out to rest, as for a VM that is yet to come, rests until it is told to carry', async (context) => {
  const { hand, setState, macs } = await world(context, connected);
  assert.deepEqual(await hand(want(1), 'rests'), { pciAddress: '0000:03:10.0' });
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.0' });
  assert.equal(macs.get('pf0/0'), resting, 'asked for again it is not woken');
  await setState(want(1).macAddress, 'carries');
  assert.deepEqual(await hand(want(1)), { pciAddress: '0000:03:10.0' });
  assert.equal(macs.get('pf0/0'), want(1).macAddress);
  await setState(want(1).macAddress, 'rests');
  await hand(want(1), 'carries');
  assert.equal(macs.get('pf0/0'), want(1).macAddress);
});

test('one that rests is taken back like any other', async (context) => {
  const { hand, takeBack, macs } = await world(context, connected);
  await hand(want(1), 'rests');
  await takeBack(want(1).macAddress);
  assert.equal(macs.get('pf0/0'), '00:00:00:00:00:00');
});

test('also an address that begins as those of resting ones do has another one to rest under', async (context) => {
  const { hand, setState, macs } = await world(context, connected);
  const chosen = { ...want(1), macAddress: resting };
  await hand(chosen, 'rests');
  assert.notEqual(macs.get('pf0/0'), resting);
  await setState(resting, 'carries');
  assert.equal(macs.get('pf0/0'), resting);
});
