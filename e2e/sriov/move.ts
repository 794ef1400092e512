/**
 * A NIC with a function moves from one device to another, as in a live migration, while a peer on the wire asks it without a pause.
 * Real: both devices' switches, the bridges behind them, the agent's own code, and the guest's pair, which is this kernel's
 * `net_failover` on a virtio NIC that offers it. Played: QEMU. Its unplugging and plugging is the guest's driver let go of and bound
 * anew, and the VM's move the standby's tap that goes from one bridge to the other. The guest is this machine itself.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { VirtualFunctions } from '@kvasir/agent/drivers/ovs/sriov/virtual-functions.ts';
import { runProgram } from '@kvasir/agent/drivers/program.ts';
import { guestMac, peerMac, tapMac } from './addresses.ts';
import { holds, intoNamespace, ip, print, until } from './checks.ts';
import { isHalf, netDeviceOf, netDeviceWithMac } from './net-devices.ts';
import { Questions } from './questions.ts';

const guestAddress = '10.2.0.1';
const asked = 15;

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
  await ip(`link set ${nic} master ${bridge} up`);
  await ip(`link set ${bridge} up`);
  return {
    ...{ bridge, nic },
    functions: new VirtualFunctions(runProgram, () => [guestMac]),
    pciAddress: `0000:${bus}:10.0`,
  };
}

/** @param state as `attachPort` has it: at a destination it rests */
async function hand({ functions, nic, pciAddress }: Side, state: 'carries' | 'rests'): Promise<void> {
  const wanted = { macAddress: guestMac, nics: [nic], vlanId: null, maxSendMbps: null };
  assert.deepEqual(await functions.hand(wanted, state), { pciAddress });
}

const bindings = '/sys/bus/pci/drivers/igbvf';

/** The guest gets the function, and its pair takes it. */
async function plug({ pciAddress }: Side): Promise<void> {
  writeFileSync(`/sys/bus/pci/devices/${pciAddress}/driver_override`, 'igbvf');
  writeFileSync(`${bindings}/bind`, pciAddress);
  await until('the pair has the function', () => isHalf(netDeviceOf(pciAddress)));
}

function unplug({ pciAddress }: Side): void {
  writeFileSync(`${bindings}/unbind`, pciAddress);
}

export async function checkMove(): Promise<void> {
  const source = await side('br-source', '02');
  const destination = await side('br-dest', '03');
  const tap = netDeviceWithMac(tapMac);
  const standbyAt = ({ bridge }: Side) => ip(`link set ${tap} master ${bridge} up`);
  await intoNamespace('peer', netDeviceWithMac(peerMac), '10.2.0.9/24');
  const pair = netDeviceWithMac(guestMac);
  await ip(`address add ${guestAddress}/24 dev ${pair}`);
  await ip(`link set ${pair} up`);
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
    'a destination swallows it too when its function carries before the guest has it, and not when it rests',
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

  await holds(
    'a cancelled move: the source has its address back before the guest finds it, and its pair takes it',
    async () => {
      await source.functions.setState(guestMac, 'carries');
      await plug(source);
      assert.ok((await answered('by the function again')) >= most);
    },
  );

  await holds('a move from end to end, asked all the time', async () => {
    await hand(destination, 'rests');
    const during = questions.during();
    await during.for(3);
    unplug(source);
    await source.functions.setState(guestMac, 'rests');
    await during.for(10);
    await destination.functions.setState(guestMac, 'carries');
    await standbyAt(destination);
    await plug(destination);
    await during.for(15);
    await source.functions.takeBack(guestMac);
    await during.for(3);
    const { sent, missed } = await during.end();
    print(`        ${sent} asked, each ${questions.everyMs} ms; without an answer: ${missed.join(' ') || 'none'}`);
    assert.ok(sent > 30);
    assert.ok(missed.length < 10, `${missed.length} of ${sent} missed`);
  });
}
