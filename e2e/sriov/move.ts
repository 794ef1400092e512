/**
 * A NIC with a function moves from one device to another, as in a live migration, while a peer on the wire asks it without a pause.
 * Real: both devices' switches, the bridges behind them, the agent's own code, and the guest's pair, which is this kernel's
 * `net_failover` on a virtio NIC that offers it. Played: QEMU. Its unplugging and plugging is the guest's driver let go of and bound
 * anew, and the VM's move the standby's tap that goes from one bridge to the other. The guest is this machine itself.
 */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VirtualFunctions } from '@kvasir/agent/drivers/ovs/sriov/virtual-functions.ts';
import { runProgram } from '@kvasir/agent/drivers/program.ts';
import { guestMac, peerMac, tapMac } from './addresses.ts';
import { holds, intoNamespace, ip, print, until } from './checks.ts';
import { isHalf, netDeviceOf, netDeviceWithMac } from './net-devices.ts';
import { Questions } from './questions.ts';

const [guestAddress, peerAddress] = ['10.2.0.1', '10.2.0.9'];
const asked = 15;
/** For which a guest without its function is copied. */
const copied = 20;

interface Side {
  readonly bridge: string;
  readonly nic: string;
  readonly functions: VirtualFunctions;
  /** Of the function that is handed out there. */
  readonly pciAddress: string;
}

async function side(bridge: string, bus: string): Promise<Side> {
  const nic = netDeviceOf(`0000:${bus}:00.0`);
  const device = `/sys/class/net/${nic}/device`;
  // As the documentation says: the host's own driver stays away from functions.
  writeFileSync(`${device}/sriov_drivers_autoprobe`, '0');
  writeFileSync(`${device}/sriov_numvfs`, '2');
  await ip(`link add ${bridge} type bridge`);
  // Or this machine, which is the guest too, would answer for the guest's address by the bridge's own.
  await ip(`link set ${bridge} arp off up`);
  await ip(`link set ${nic} master ${bridge} up`);
  await until('the link is up', async () => (await ip(`link show dev ${nic}`)).includes('LOWER_UP'));
  // The agent of one host sees that host's device only.
  const sysfs = `/run/${bridge}`;
  mkdirSync(join(sysfs, 'class/net'), { recursive: true });
  symlinkSync(`/sys/class/net/${nic}`, join(sysfs, 'class/net', nic));
  const functions = new VirtualFunctions(runProgram, () => [guestMac], sysfs);
  return { bridge, nic, functions, pciAddress: `0000:${bus}:10.0` };
}

/** @param state as `attachPort` has it: at a destination it rests */
async function hand({ functions, nic, pciAddress }: Side, state: 'carries' | 'rests'): Promise<void> {
  const wanted = { macAddress: guestMac, nics: [nic], vlanId: null, maxSendMbps: null };
  assert.deepEqual(await functions.hand(wanted, state), { pciAddress });
}

const driver = 'igbvf';

/** The guest gets the function, and its pair takes it. */
async function plug({ pciAddress }: Side): Promise<void> {
  writeFileSync(`/sys/bus/pci/devices/${pciAddress}/driver_override`, driver);
  writeFileSync(`/sys/bus/pci/drivers/${driver}/bind`, pciAddress);
  await until('the pair has the function', () => isHalf(netDeviceOf(pciAddress)));
}

function unplug({ pciAddress }: Side): void {
  writeFileSync(`/sys/bus/pci/drivers/${driver}/unbind`, pciAddress);
}

export async function checkMove(): Promise<void> {
  const source = await side('br-source', '02');
  const destination = await side('br-dest', '03');
  const tap = netDeviceWithMac(tapMac);
  const standbyAt = ({ bridge }: Side) => ip(`link set ${tap} master ${bridge} up`);
  const peer = netDeviceWithMac(peerMac);
  await intoNamespace('peer', peer, `${peerAddress}/24`);
  const pair = netDeviceWithMac(guestMac);
  await ip(`address add ${guestAddress}/24 dev ${pair}`);
  await ip(`link set ${pair} up`);
  // What is lost is then lost by the devices alone.
  await ip(`-n peer neighbour replace ${guestAddress} lladdr ${guestMac} dev ${peer} nud permanent`);
  await ip(`neighbour replace ${peerAddress} lladdr ${peerMac} dev ${pair} nud permanent`);
  await standbyAt(source);
  await hand(source, 'carries');
  await plug(source);
  const questions = new Questions('peer', guestAddress);
  await until('the peer is answered by the function', () => questions.nextIsAnswered());
  const answered = async (when: string): Promise<number> => {
    const count = await questions.answered(asked);
    print(`        ${when}: ${count} of ${asked} answered`);
    return count;
  };
  const most = asked - 2;

  await holds('a function that its guest let go of swallows what comes for the NIC, until it rests', async () => {
    assert.ok((await answered('by the function')) >= most);
    unplug(source);
    assert.equal(await answered('let go of, and it carries still'), 0);
    await source.functions.setState(guestMac, 'rests');
    assert.ok((await answered('let go of, and it rests')) >= most);
  });

  await holds(
    'a destination swallows it before the guest has the function there, but not when that rests',
    async () => {
      await hand(destination, 'carries');
      await standbyAt(destination);
      assert.equal(await answered('arrived, not plugged in, and it carries'), 0);
      await destination.functions.setState(guestMac, 'rests');
      assert.ok((await answered('arrived, not plugged in, and it rests')) >= most);
      await destination.functions.takeBack(guestMac);
      await standbyAt(source);
    },
  );

  await holds('after a cancelled move the source has its address again, and the pair takes the function', async () => {
    await source.functions.setState(guestMac, 'carries');
    await plug(source);
    assert.ok((await answered('by the function again')) >= most);
  });

  /** How many questions had no answer. */
  const move = async (from: Side, to: Side, areToRest: boolean): Promise<number> => {
    await hand(to, areToRest ? 'rests' : 'carries');
    const asking = questions.during();
    await asking.for(5);
    unplug(from);
    if (areToRest) await from.functions.setState(guestMac, 'rests');
    await asking.for(copied);
    if (areToRest) await to.functions.setState(guestMac, 'carries');
    await standbyAt(to);
    await plug(to);
    await asking.for(5);
    await from.functions.takeBack(guestMac);
    await asking.for(5);
    const { sent, missed } = await asking.end();
    print(`        ${sent} asked, one each ${questions.everyMs} ms; no answer to ${missed.join(' ') || 'none'}`);
    assert.ok(sent > copied + 10);
    return missed.length;
  };

  await holds(
    'a move from end to end when no function rests: cut off while the guest is copied, and longer',
    async () => {
      assert.ok((await move(source, destination, false)) >= copied);
    },
  );

  await holds('a move from end to end: cut off only while the guest gets its function', async () => {
    assert.ok((await move(destination, source, true)) < copied / 2);
  });
}
