/**
 * Networks of a distributed switch go over the hosts' real cables: with the right VLAN tag to other hosts and to machines that are no
 * hosts, for trunks as the guest tags them, and on over the other cable of a bond when one is pulled.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { Port } from '@kvasir/api/resources/port.ts';
import type { Uplink } from '@kvasir/api/resources/uplink.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { run } from '@kvasir/lab/command.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell } from './testing/guest.ts';
import { PhysicalSwitch } from './testing/switch/physical-switch.ts';
import { type Capture, startCapture, tcpdump } from './testing/switch/capture.ts';

const floor3 = { name: 'floor3', vlan: 103, cidr: '192.0.2.0/24', broadcast: '192.0.2.255' };
const floor4 = { name: 'floor4', vlan: 104, cidr: '198.51.100.0/24' };
const machine3 = '192.0.2.250';
const guestVlan = 30;
const hostNames = ['h1', 'h2'] as const;

describe('uplinks carry networks', { timeout: 800_000 }, () => {
  // Before the cloud, which says so when something of it stays.
  after(() => rack.stop());
  const cloud = useCloud({ spareNics: 2 });
  let rack: PhysicalSwitch;
  /** Of each host, on the rack's switch. */
  const cables: Record<string, string[]> = {};
  let [one, two, other] = [] as unknown as [Vm, Vm, Vm];

  const on = (vm: Vm, line: string): Promise<string> => guestShell(cloud().hostOf(vm), vm.id, line);
  const nicOf = (vm: Vm) => vm.nics[0]!;
  const addressOf = (vm: Vm): string => nicOf(vm).addresses[0]!;
  const reaches = (vm: Vm, address: string, options = ''): Promise<boolean> =>
    on(vm, `ping -q -c 2 -W 2 ${options} ${address}`).then(
      () => true,
      () => false,
    );
  const untilReached = (vm: Vm, address: string): Promise<boolean> =>
    until(`${address} reached from ${vm.name}`, 30_000, () => reaches(vm, address));
  /** What goes to (or comes from) a VM, at its host. */
  const atVm = async (vm: Vm, direction: 'to' | 'from', filter: string): Promise<Capture> => {
    const { layout } = cloud().hostOf(vm);
    const devices = await run(['ip', '-n', layout.namespace, '-o', 'link', 'show', 'type', 'tun']);
    const line = devices.split('\n').find((text) => text.includes(nicOf(vm).id));
    const device = /^\d+: ([^:@]+)/.exec(line ?? '')?.[1];
    assert.ok(device !== undefined, `${vm.name} among ${devices}`);
    const listen = [...tcpdump, '-e', '-Q', direction === 'to' ? 'out' : 'in', '-i', device, filter];
    const argv = ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', layout.namespace, ...listen];
    return startCapture(spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'pipe'] }));
  };
  const uplink = (host: string): Promise<Uplink> => cloud().kvasir<Uplink>('uplink', 'show', `datacentre-${host}`);
  const untilUplink = async (host: string, what: string, holds: (state: NonNullable<Uplink['state']>) => boolean) => {
    let last: Uplink['state'] = null;
    await until(`uplink of ${host} ${what}`, 60_000, async () => {
      last = (await uplink(host)).state;
      return last !== null && holds(last);
    }).catch((error: Error) => {
      throw new Error(`${error.message}; last seen: ${JSON.stringify(last)}`, { cause: error });
    });
  };
  const active = ({ members }: NonNullable<Uplink['state']>): string[] =>
    members.filter((member) => member.active).map(({ nic }) => nic);

  before(async () => {
    const { lab, kvasir } = { lab: cloud().lab, kvasir: (...argv: string[]) => cloud().kvasir(...argv) };
    rack = await PhysicalSwitch.start(lab);
    await kvasir('switch', 'create', 'datacentre');
    for (const host of hostNames) {
      cables[host] = await rack.plug(host, 2);
      await kvasir('uplink', 'create', '--switch', 'datacentre', '--host', host, '--nics', 'up1');
    }
    for (const { name, vlan, cidr } of [floor3, floor4]) {
      const kind = ['--kind', 'vlan', '--switch', 'datacentre', '--segment', String(vlan)];
      await kvasir('network', 'create', name, ...kind, '--subnets', `cidr=${cidr}`);
    }
    await rack.addMachine('m3', floor3.vlan, `${machine3}/24`);
    // The same network for who looks at addresses alone.
    await rack.addMachine('m4', floor4.vlan, '192.0.2.251/24');
    one = await cloud().createVm('one', '--host', 'h1', '--network', floor3.name);
    two = await cloud().createVm('two', '--host', 'h2', '--network', floor3.name);
    other = await cloud().createVm('other', '--host', 'h2', '--network', floor4.name);
    for (const vm of [one, two, other]) {
      await booted(cloud().hostOf(vm), vm.id);
      const has = async (): Promise<boolean> => (await on(vm, 'ip address')).includes(addressOf(vm));
      await until(`the address of ${vm.name}`, 60_000, has);
    }
  });

  describe('a VLAN network', () => {
    it('reaches its VMs on other hosts, with its tag on the wire', async () => {
      const wire = await rack.capture(cables['h1']![0]!, 'icmp or (vlan and icmp)');
      await untilReached(one, addressOf(two));
      const lines = await wire.stop();
      assert.ok(lines.length > 0 && lines.every((line) => line.includes(`vlan ${floor3.vlan},`)), lines.join('\n'));
    });

    it('reaches a physical machine on that VLAN and none on another', async () => {
      await untilReached(one, machine3);
      assert.equal(await reaches(one, '192.0.2.251'), false);
      assert.equal(await rack.reaches('m4', machine3), false);
    });

    it('no frame of it arrives at a VM of another VLAN on the same cable', async () => {
      const from = `ether src ${nicOf(one).macAddress}`;
      const [stranger, member] = [await atVm(other, 'to', from), await atVm(two, 'to', from)];
      await on(one, `ping -q -c 3 -W 1 -b ${floor3.broadcast} || arping -q -c 3 -I eth0 192.0.2.77 || true`);
      await untilReached(one, addressOf(two));
      assert.ok((await member.stop()).length > 0, 'the capture sees what arrives');
      assert.deepEqual(await stranger.stop(), []);
    });
  });

  describe('a trunk', () => {
    it("the guest's tagged frames arrive in the sub-network, with that network's tag on the wire, and nowhere else", async () => {
      const argv = ['port', 'add-sub-port', nicOf(one).id, floor4.name, '--vlan-id', String(guestVlan)];
      const [sub] = (await cloud().kvasir<Port>(...argv)).subPorts;
      assert.ok(sub !== undefined && sub.vlanId === guestVlan);
      const setUp = (vlan: number): string =>
        `vconfig add eth0 ${vlan}; ip link set eth0.${vlan} address ${sub.macAddress} up`;
      await on(one, `${setUp(guestVlan)}; ip address add ${sub.addresses[0]}/24 dev eth0.${guestVlan}`);
      const from = `ether src ${sub.macAddress}`;
      const wire = await rack.capture(cables['h1']![0]!, from);
      const [stranger, member] = [await atVm(two, 'to', from), await atVm(other, 'to', from)];
      await untilReached(one, addressOf(other));
      const lines = await wire.stop();
      assert.ok(lines.length > 0 && lines.every((line) => line.includes(`vlan ${floor4.vlan},`)), lines.join('\n'));
      assert.ok((await member.stop()).length > 0);
      assert.deepEqual(await stranger.stop(), []);
      assert.ok(await reaches(one, addressOf(two)), 'the untagged network goes on beside it');
    });

    it('a tag that is no sub-port goes nowhere', async () => {
      const [sub] = (await cloud().kvasir<Port>('port', 'show', nicOf(one).id)).subPorts;
      const wrong = guestVlan + 1;
      await on(one, `vconfig add eth0 ${wrong}; ip link set eth0.${wrong} address ${sub!.macAddress} up`);
      const from = `ether src ${sub!.macAddress}`;
      const sent = await atVm(one, 'from', `${from} and vlan ${wrong}`);
      const wire = await rack.capture(cables['h1']![0]!, from);
      // Nobody asks for it otherwise: the sub-port answers others meanwhile, with its own tag.
      const asked = '198.51.100.77';
      await on(one, `arping -q -c 3 -w 3 -I eth0.${wrong} ${asked} || true`);
      assert.ok(
        (await sent.stop()).some((line) => line.includes(asked)),
        'the guest sends',
      );
      assert.deepEqual(
        (await wire.stop()).filter((line) => line.includes(asked)),
        [],
      );
    });
  });

  for (const bond of ['active-backup', 'balance-slb', 'lacp'] as const) {
    describe(`a bond of two cables, ${bond}`, () => {
      it('carries traffic and says so', async () => {
        for (const host of hostNames) {
          const fast = bond === 'lacp' ? ['--lacp-fast'] : [];
          const argv = ['uplink', 'update', `datacentre-${host}`, '--nics', 'up1,up2', '--bond', bond, ...fast];
          await cloud().kvasir(...argv);
          if (bond === 'lacp') await rack.aggregate(cables[host]!);
          const members = bond === 'active-backup' ? 1 : 2;
          // What it was before may have as many.
          const lacp = bond === 'lacp' ? 'negotiated' : null;
          await untilUplink(host, `with ${members} active, LACP ${lacp}`, (state) => {
            const all = state.up && state.members.every(({ up }) => up);
            return all && active(state).length === members && state.lacp === lacp;
          });
        }
        await untilReached(one, addressOf(two));
        await untilReached(one, machine3);
        // Some bonds would hand a guest's own broadcast back by the other cable.
        const back = await atVm(one, 'to', `ether src ${nicOf(one).macAddress}`);
        await on(one, 'arping -q -c 3 -w 3 -I eth0 192.0.2.77 || true');
        assert.deepEqual(await back.stop(), []);
      });

      it('goes on when a cable that is in use is pulled, says which, and takes it back', async () => {
        const [used] = active((await uplink('h1')).state!);
        const cable = cables['h1']!.find((port) => port.startsWith(`${used}-`))!;
        const to = addressOf(two);
        await on(one, `(ping -i 0.1 ${to} >/run/ping 2>&1 & echo $! >/run/ping.pid) </dev/null`);
        await rack.setCable(cable, 'out');
        await untilUplink('h1', `without ${used}`, (state) => {
          const pulled = state.members.find(({ nic }) => nic === used);
          return pulled?.up === false && state.up && !active(state).includes(used!);
        });
        await untilReached(one, to);
        const report = await on(one, 'kill -INT $(cat /run/ping.pid); sleep 0.2; tail -n 2 /run/ping');
        process.stdout.write(`${bond}, a cable pulled: ${/\d+ packets transmitted.*/.exec(report)?.[0]}\n`);
        await rack.setCable(cable, 'in');
        const all = bond === 'active-backup' ? 1 : 2;
        await untilUplink('h1', `with ${used} again`, (state) => {
          return state.members.every(({ up }) => up) && active(state).length === all;
        });
        await untilReached(one, to);
      });
    });
  }
});
