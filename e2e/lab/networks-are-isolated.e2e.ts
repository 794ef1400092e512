/** Two tenants with the same addresses on VXLAN never see a frame of each other; the encapsulation is the standard one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { run } from '@kvasir/lab/command.ts';
import type { Model, ModelGuest } from './testing/switch/model.ts';
import { startCapture, tcpdump } from './testing/switch/capture.ts';
import { type Guest, useSwitchBed } from './testing/switch/switch-bed.ts';

const [vniA, vniB] = [9_000_001, 16_777_214];
const guest = (name: string, network: string, host: string, last: number, macAddress: string): ModelGuest => ({
  ...{ name, network, host, macAddress },
  addresses: [`10.0.0.${last}`],
});
const guests = [
  guest('a1', 'tenant-a', 'h1', 1, '52:54:00:0a:00:01'),
  guest('a2', 'tenant-a', 'h2', 2, '52:54:00:0a:00:02'),
  guest('a3', 'tenant-a', 'h1', 3, '52:54:00:0a:00:03'),
  guest('b1', 'tenant-b', 'h1', 1, '52:54:00:0b:00:01'),
  guest('b2', 'tenant-b', 'h2', 2, '52:54:00:0b:00:02'),
  // On the wire that carries the tunnels, with an address of its own there.
  { ...guest('floor', 'floor', 'h1', 0, '52:54:00:0f:00:01'), addresses: ['10.79.0.150'] },
];
const foreign = { vtep: '10.79.0.200', address: '10.0.0.9', macAddress: '52:54:00:0a:00:09' };

describe('networks are isolated', { timeout: 240_000 }, () => {
  const bed = useSwitchBed(2);
  const at = new Map<string, Guest>();
  const on = (name: string): Guest => at.get(name)!;
  const model = (): Model => ({
    hosts: bed().vteps,
    networks: [
      { name: 'tenant-a', kind: 'vxlan', segment: vniA, externalVteps: [foreign.vtep] },
      { name: 'tenant-b', kind: 'vxlan', segment: vniB },
      { name: 'floor', kind: 'flat', segment: 0 },
    ],
    guests,
  });

  before(async () => {
    await bed().apply(model());
    for (const item of guests) at.set(item.name, await bed().plug(item, { prefixLength: 24 }));
  });

  it('guests of one network reach each other on one host and across hosts', async () => {
    assert.ok(await on('a1').reaches('10.0.0.3'), 'on one host');
    assert.ok(await on('a1').reaches('10.0.0.2'), 'across hosts');
    assert.ok(await on('b2').reaches('10.0.0.1'), 'the other tenant, with the same addresses');
  });

  it('no frame of one tenant arrives at any port of the other', async () => {
    const strangers = (macs: string): string => `ether src ${macs}`;
    const captures = await Promise.all([
      ...['a1', 'a2', 'a3'].map((name) =>
        on(name).capture(strangers('52:54:00:0b:00:01 or ether src 52:54:00:0b:00:02')),
      ),
      ...['b1', 'b2'].map((name) => on(name).capture(`ether[6:4] = 0x5254000a`)),
    ]);
    const witness = await on('a2').capture('icmp');
    for (const name of ['a1', 'a2', 'b1', 'b2']) {
      await on(name).try('ping', '-b', '-c', '3', '-i', '0.2', '-W', '1', '10.0.0.255');
      for (const last of [1, 2, 3, 77]) await on(name).try('ping', '-c', '1', '-W', '0.3', `10.0.0.${last}`);
    }
    assert.ok((await witness.stop()).length > 0, 'the capture sees what arrives');
    for (const capture of captures) assert.deepEqual(await capture.stop(), []);
  });

  it("a guest on the wire of the tunnels that sends VXLAN itself gets no frame into a tenant's network, in parts neither", async () => {
    const captures = await Promise.all(
      ['a1', 'a2', 'a3'].map((name) => on(name).capture('ether src 52:54:00:0f:00:99')),
    );
    assert.ok(await on('floor').reaches(bed().host('h2').vtep), 'it reaches the host itself');
    for (const [host, victim] of [
      ['h1', 'a1'],
      ['h2', 'a2'],
    ] as const) {
      const lines = [
        `link add vx type vxlan id ${vniA} dstport 4789 local 10.79.0.150 remote ${bed().host(host).vtep}`,
        'link set dev vx address 52:54:00:0f:00:99 mtu 3000 up',
        'address add 10.0.0.66/24 dev vx',
        `neigh replace ${on(victim).guest.addresses[0]!} lladdr ${on(victim).guest.macAddress} dev vx`,
      ];
      await run(['ip', '-n', on('floor').namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
      const forged = (...words: string[]) => on('floor').try('ping', '-c', '3', '-i', '0.2', '-W', '1', ...words);
      // As one broadcast (ARP for an address that nobody has), in one piece, and in parts.
      for (const words of [['10.0.0.77'], ['-s', '100'], ['-s', '2000']]) {
        await forged(...words, ...(words.length > 1 ? [on(victim).guest.addresses[0]!] : []));
      }
      await on('floor').exec('ip', 'link', 'del', 'dev', 'vx');
    }
    for (const capture of captures) assert.deepEqual(await capture.stop(), []);
  });

  it('on the wire it is VXLAN: port 4789 and the VNI of the network', async () => {
    const { fabricNamespace, directory } = bed().lab.layout;
    const file = join(directory, 'wire.pcap');
    const filter = 'udp port 4789 and src host 10.79.0.1';
    const argv = [...tcpdump, '-U', '-i', 'vm', '-w', file, filter];
    const capture = await startCapture(bed().start(fabricNamespace, argv, 'pipe'));
    assert.ok(await on('b1').reaches('10.0.0.2'));
    await capture.stop();
    const fields = ['udp.dstport', 'vxlan.vni', 'icmp.type'].flatMap((field) => ['-e', field]);
    const decoded = await run(['tshark', '-n', '-r', file, '-T', 'fields', '-E', 'separator=/s', ...fields]);
    const frames = decoded.trim().split('\n');
    assert.ok(frames.includes(`4789 ${vniB} 8`), `the echo request among ${decoded}`);
    assert.ok(
      frames.every((frame) => frame.startsWith(`4789 ${vniB}`)),
      decoded,
    );
  });

  it('a frame to a MAC that nobody has goes nowhere', async () => {
    const fabric = bed().lab.layout.fabricNamespace;
    await bed().apply({
      ...model(),
      networks: model().networks.map((network) => ({ ...network, externalVteps: [] })),
    });
    const capture = await startCapture(bed().start(fabric, [...tcpdump, '-e', '-i', 'vm', 'udp port 4789'], 'pipe'));
    const neighbour = await on('a3').capture('icmp');
    await on('a1').exec('ip', 'neigh', 'replace', '10.0.0.50', 'lladdr', '52:54:00:ff:ff:50', 'dev', 'eth0');
    assert.equal(await on('a1').reaches('10.0.0.50'), false);
    assert.deepEqual(
      (await capture.stop()).filter((line) => line.includes('52:54:00:ff:ff:50')),
      [],
    );
    assert.deepEqual(await neighbour.stop(), []);
    await bed().apply(model());
  });

  it('a registered foreign VTEP, the kernel of another machine, exchanges traffic both ways', async () => {
    const namespace = await bed().namespace('vtep');
    const fabric = bed().lab.layout.fabricNamespace;
    await run([
      'ip',
      '-n',
      fabric,
      'link',
      'add',
      'vm-vtep',
      'mtu',
      '1600',
      'type',
      'veth',
      'peer',
      'name',
      'u0',
      'mtu',
      '1600',
      'netns',
      namespace,
    ]);
    const inside = [
      'link set dev u0 up',
      `address add ${foreign.vtep}/24 dev u0`,
      `link add vx type vxlan id ${vniA} dstport 4789 local ${foreign.vtep} dev u0`,
      `link set dev vx address ${foreign.macAddress} mtu 1450 up`,
      `address add ${foreign.address}/24 dev vx`,
    ];
    await run(['ip', '-n', fabric, 'link', 'set', 'dev', 'vm-vtep', 'master', 'vm', 'up']);
    await run(['ip', '-n', namespace, '-batch', '-'], { input: `${inside.join('\n')}\n` });
    await run(['ip', 'netns', 'exec', namespace, 'ethtool', '-K', 'u0', 'tx', 'off']);
    for (const vtep of Object.values(bed().vteps)) {
      await run([
        'ip',
        'netns',
        'exec',
        namespace,
        'bridge',
        'fdb',
        'append',
        '00:00:00:00:00:00',
        'dev',
        'vx',
        'dst',
        vtep,
      ]);
    }
    assert.ok(await on('a1').reaches(foreign.address), 'to the foreign VTEP');
    for (const address of ['10.0.0.2', '10.0.0.3']) {
      await run(['ip', 'netns', 'exec', namespace, 'ping', '-c', '2', '-i', '0.2', '-W', '2', address]);
    }
  });
});
