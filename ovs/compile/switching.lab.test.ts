/** Frames through a real switch: delivery, isolation, uplinks, trunks, and answers that are given in place. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import type { LocalSwitch } from './local.ts';
import type { Slice } from './slice.ts';
import { FlowLab } from './testing/flow-lab.ts';
import {
  arpRequest,
  broadcastMac,
  fragment,
  linkLocalOf,
  solicitation,
  type Station,
  udp,
  withVlan,
} from './testing/frames.ts';
import { localSwitch, network, port, slice } from './testing/slices.ts';

const a1: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const a2: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const b1: Station = { mac: '52:54:00:00:00:b1', ip: '10.0.0.1' };
const b2: Station = { mac: '52:54:00:00:00:b2', ip: '10.0.0.2' };
const stranger: Station = { mac: '52:54:00:00:00:99', ip: '10.0.0.99' };
const all: Station = { mac: broadcastMac, ip: '255.255.255.255' };

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ a1: 11, a2: 12, b1: 13, b2: 14, uplink: 3, wan: 4, services: 2 });
});
after(() => lab.stop());

const of = ({ mac, ip }: Station, networkId: string) => ({ networkId, macAddress: mac, addresses: [ip] });
const onBlue = [port('a1', of(a1, 'blue')), port('a2', of(a2, 'blue'))];

async function load(given: Slice, local: Partial<LocalSwitch> = {}): Promise<void> {
  await lab.load(compile(given, localSwitch(given, { tunnelPort: null, ...local })));
}

test('two ports of a network reach each other, and nobody reaches a MAC that is unknown', async () => {
  await load(slice({ networks: [network('blue')], ports: onBlue }));
  assert.deepEqual(await lab.send('a1', udp(a1, a2, [1000, 53])), { a2: ['a1>a2 10.0.0.1>10.0.0.2 udp 1000>53'] });
  assert.deepEqual(await lab.send('a1', udp(a1, all, [1000, 53])), {
    a2: ['a1>all 10.0.0.1>255.255.255.255 udp 1000>53'],
  });
  assert.deepEqual(await lab.send('a1', udp(a1, stranger, [1000, 53])), {});
});

test('who has an address is answered in place, but nobody is answered about its own', async () => {
  const remote = { macAddress: stranger.mac, addresses: [stranger.ip, 'fd00::99'], vteps: ['172.31.0.2'] };
  await load(slice({ networks: [network('blue', { remotePorts: [remote] })], ports: onBlue }));
  assert.deepEqual(await lab.send('a1', arpRequest(a1, a2.ip)), { a1: ['a2>a1 arp 10.0.0.2 is at a2'] });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, stranger.ip)), { a1: ['99>a1 arp 10.0.0.99 is at 99'] });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, a1.ip)), { a2: ['a1>all arp who has 10.0.0.1, tell 10.0.0.1'] });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, '10.0.0.50')), {
    a2: ['a1>all arp who has 10.0.0.50, tell 10.0.0.1'],
  });
  const self = linkLocalOf(a1.mac);
  assert.deepEqual(await lab.send('a1', solicitation(self, 'fd00::99')), {
    a1: [`99>a1 fd00::99>${self6} nd fd00::99 is at 99`],
  });
});
const self6 = 'fe80::5054:ff:fe00:a1';

test('networks with the same addresses on one host never see a frame of each other', async () => {
  const ports = [...onBlue, port('b1', of(b1, 'red')), port('b2', of(b2, 'red'))];
  await load(slice({ networks: [network('blue'), network('red', { segment: 9_000_001 })], ports }));
  assert.deepEqual(await lab.send('a1', udp(a1, all, [1, 1])), { a2: ['a1>all 10.0.0.1>255.255.255.255 udp 1>1'] });
  assert.deepEqual(await lab.send('b1', arpRequest(b1, a2.ip)), { b1: ['b2>b1 arp 10.0.0.2 is at b2'] });
  assert.deepEqual(await lab.send('b1', udp(b1, a2, [1, 1])), {});
});

test('a VLAN leaves by the uplink with its tag, comes in with it, and keeps to it', async () => {
  const vlan = network('blue', { kind: 'vlan', segment: 100, switchId: 'office' });
  await load(slice({ networks: [vlan], ports: onBlue }), { uplinkPorts: { office: 3 } });
  const out = await lab.send('a1', udp(a1, stranger, [1, 1]));
  assert.deepEqual(out, { uplink: ['a1>99 vlan 100 10.0.0.1>10.0.0.99 udp 1>1'] });
  assert.deepEqual(await lab.send('a1', udp(a1, a2, [1, 1])), { a2: ['a1>a2 10.0.0.1>10.0.0.2 udp 1>1'] });
  assert.deepEqual(Object.keys(await lab.send('a1', udp(a1, all, [1, 1]))), ['a2', 'uplink']);
  const back = withVlan(100, udp(stranger, a1, [1, 1]));
  assert.deepEqual(await lab.send('uplink', back), { a1: ['99>a1 10.0.0.99>10.0.0.1 udp 1>1'] });
  assert.deepEqual(Object.keys(await lab.send('uplink', withVlan(100, udp(stranger, all, [1, 1])))), ['a1', 'a2']);
  assert.deepEqual(await lab.send('uplink', withVlan(101, udp(stranger, a1, [1, 1]))), {});
  assert.deepEqual(await lab.send('uplink', udp(stranger, a1, [1, 1])), {});
  assert.deepEqual(await lab.send('a1', withVlan(100, udp(a1, a2, [1, 1]))), {}, 'a guest sets no tags');
});

test('flat networks of two switches stay apart, those of one switch are one wire', async () => {
  const flat = (id: string, switchId: string) => network(id, { kind: 'flat', segment: 0, switchId });
  const ports = [port('a1', of(a1, 'blue')), port('b2', of(b2, 'red'))];
  const host = { uplinkPorts: { office: 3, wan: 4 }, nicPorts: { a1: 11, b2: 14 } };
  await load(slice({ networks: [flat('blue', 'office'), flat('red', 'wan')], ports }), host);
  assert.deepEqual(Object.keys(await lab.send('a1', udp(a1, all, [1, 1]))), ['uplink']);
  assert.deepEqual(Object.keys(await lab.send('wan', udp(stranger, all, [1, 1]))), ['b2']);
  await load(slice({ networks: [flat('blue', 'office'), flat('red', 'office')], ports }), host);
  assert.deepEqual(Object.keys(await lab.send('a1', udp(a1, b2, [1, 1]))), ['b2']);
  assert.deepEqual(Object.keys(await lab.send('uplink', udp(stranger, all, [1, 1]))), ['a1', 'b2']);
});

test('a flat network without a switch has the default uplink, if there is one', async () => {
  const given = slice({ networks: [network('blue', { kind: 'flat', segment: 0 })], ports: onBlue });
  await load(given);
  assert.deepEqual(Object.keys(await lab.send('a1', udp(a1, all, [1, 1]))), ['a2']);
  await load(given, { defaultUplinkPort: 4 });
  assert.deepEqual(Object.keys(await lab.send('a1', udp(a1, all, [1, 1]))), ['a2', 'wan']);
});

test('a tag within the tag of a trunk leads to no other VLAN of the wire', async () => {
  const flat = network('flat', { kind: 'flat', segment: 0 });
  const ports = [port('a1', of(a1, 'blue')), { ...port('a1', of(b1, 'flat')), guestVlan: 7 }];
  await load(slice({ networks: [network('blue'), flat], ports }), { defaultUplinkPort: 4 });
  const hello = udp(b1, stranger, [1, 1]);
  assert.deepEqual(await lab.send('a1', withVlan(7, hello)), { wan: ['b1>99 10.0.0.1>10.0.0.99 udp 1>1'] });
  assert.deepEqual(await lab.send('a1', withVlan(7, withVlan(103, hello))), {});
  for (const limit of ['2', '1']) {
    await lab.vsctl('set', 'Open_vSwitch', '.', `other_config:vlan-limit=${limit}`);
    await lab.appctl('revalidator/purge');
    assert.deepEqual(await lab.send('a1', withVlan(7, withVlan(103, hello))), {}, `vlan-limit ${limit}`);
  }
});

test('a guest with a trunk has a network for each tag', async () => {
  const ports = [
    port('a1', of(a1, 'blue')),
    { ...port('a1', of({ ...a1, mac: b1.mac }, 'red')), guestVlan: 7 },
    port('a2', of(a2, 'blue')),
    port('b2', of(b2, 'red')),
  ];
  const networks = [network('blue'), network('red', { segment: 2 })];
  await load(slice({ networks, ports }), { nicPorts: { a1: 11, a2: 12, b2: 14 } });
  assert.deepEqual(await lab.send('a1', udp(a1, a2, [1, 1])), { a2: ['a1>a2 10.0.0.1>10.0.0.2 udp 1>1'] });
  assert.deepEqual(await lab.send('a1', withVlan(7, udp(b1, b2, [1, 1]))), { b2: ['b1>b2 10.0.0.1>10.0.0.2 udp 1>1'] });
  assert.deepEqual(await lab.send('b2', udp(b2, b1, [1, 1])), { a1: ['b2>b1 vlan 7 10.0.0.2>10.0.0.1 udp 1>1'] });
  assert.deepEqual(await lab.send('a1', withVlan(7, arpRequest(b1, b2.ip))), {
    a1: ['b2>b1 vlan 7 arp 10.0.0.2 is at b2'],
  });
  assert.deepEqual(await lab.send('a1', withVlan(8, udp(b1, b2, [1, 1]))), {});
});

test('nothing passes a pulled cable', async () => {
  const ports = [{ ...port('a1', of(a1, 'blue')), connected: false }, port('a2', of(a2, 'blue'))];
  await load(slice({ networks: [network('blue')], ports }));
  assert.deepEqual(await lab.send('a1', udp(a1, a2, [1, 1])), {});
  assert.deepEqual(await lab.send('a2', udp(a2, a1, [1, 1])), {});
  assert.deepEqual(await lab.send('a2', udp(a2, all, [1, 1])), {});
});

test('while a VM moves here, the wire is fed as well as the new port', async () => {
  const ports = [{ ...port('a1', of(a1, 'blue')), phase: 'incoming' as const }, port('a2', of(a2, 'blue'))];
  const vlan = network('blue', { kind: 'vlan', segment: 100, switchId: 'office' });
  await load(slice({ networks: [vlan], ports }), { uplinkPorts: { office: 3 } });
  assert.deepEqual(Object.keys(await lab.send('a2', udp(a2, a1, [1, 1]))), ['a1', 'uplink']);
});

test('a bond that reflects frames does not confuse, not even while a VM moves here', async () => {
  const vlan = network('blue', { kind: 'vlan', segment: 100, switchId: 'office' });
  const uplinks = [{ uplinkId: 'u', switchId: 'office', bond: 'balance-slb' as const }];
  const echoed = withVlan(100, udp(a1, all, [1, 1]));
  await load(slice({ uplinks, networks: [vlan], ports: onBlue }), { uplinkPorts: { office: 3 } });
  assert.deepEqual(await lab.send('uplink', echoed), {});
  const ports = [{ ...port('a1', of(a1, 'blue')), phase: 'incoming' as const }, port('a2', of(a2, 'blue'))];
  await load(slice({ uplinks, networks: [vlan], ports }), { uplinkPorts: { office: 3 } });
  assert.deepEqual(Object.keys(await lab.send('uplink', echoed)), ['a1', 'a2']);
});

test('no guest sends VXLAN to a VTEP by an uplink, or in the name of one', async () => {
  const vtep: Station = { mac: '52:54:00:00:00:77', ip: '10.0.0.77' };
  const flat = network('floor', { kind: 'flat', segment: 0 });
  const blue = network('blue', { memberVteps: [vtep.ip] });
  const own: Station = { mac: vtep.mac, ip: '10.0.0.78' };
  const given = slice({ networks: [flat, blue], ports: [port('a1', of(a1, 'floor'))] });
  await load(given, { defaultUplinkPort: 3, tunnelAddress: own.ip, nicPorts: { a1: 11 } });
  const leaves = async (frame: Buffer): Promise<boolean> => 'uplink' in (await lab.send('a1', frame));
  for (const to of [vtep, own]) assert.equal(await leaves(udp(a1, to, [1000, 4789])), false);
  assert.equal(await leaves(udp(a1, vtep, [1000, 4790])), true);
  assert.equal(await leaves(udp(a1, stranger, [1000, 4789])), true);
  for (const part of [0x2000, 0x0001, 0x2001]) {
    assert.equal(await leaves(fragment(udp(a1, vtep, [1000, 4789]), part)), false, `fragment ${part}`);
    assert.equal(await leaves(fragment(udp(a1, stranger, [1000, 4789]), part)), true);
  }
  assert.equal(await leaves(udp({ ...a1, ip: vtep.ip }, stranger, [1000, 4789])), false, 'in its name');
  assert.equal(await leaves(arpRequest({ ...a1, ip: vtep.ip }, stranger.ip)), false, 'ARP in its name');
  assert.equal(await leaves(arpRequest(a1, vtep.ip)), true);
});

test('guests with the same address reach metadata and DNS, and the answers find them', async () => {
  const ports = [port('a1', of(a1, 'blue')), port('b1', of(b1, 'red'))];
  const services = { port: 2, macAddress: '52:54:00:00:00:5e' };
  const server: Station = { mac: services.macAddress, ip: '169.254.169.254' };
  const subnet = { cidr: '10.0.0.0/24', gateway: '10.0.0.254', dhcp: false };
  const networks = [network('blue', { subnets: [subnet] }), network('red', { segment: 2 })];
  await load(slice({ networks, ports }), { services, nicPorts: { a1: 11, b1: 13 } });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, server.ip)), { a1: ['5e>a1 arp 169.254.169.254 is at 5e'] });
  assert.deepEqual(await lab.send('a1', arpRequest(a1, '10.0.0.254')), { a1: ['5e>a1 arp 10.0.0.254 is at 5e'] });
  assert.deepEqual(await lab.send('a1', udp(a1, server, [1, 53])), {
    services: ['a1>5e 100.64.0.1>169.254.169.254 udp 1>53'],
  });
  assert.deepEqual(await lab.send('b1', udp(b1, server, [1, 53])), {
    services: ['b1>5e 100.64.0.2>169.254.169.254 udp 1>53'],
  });
  const hop: Station = { mac: '52:54:00:bb:00:01', ip: '100.64.0.2' };
  assert.deepEqual(await lab.send('services', arpRequest(server, hop.ip)), {
    services: ['1>5e arp 100.64.0.2 is at 1'],
  });
  assert.deepEqual(await lab.send('services', udp(server, hop, [53, 1])), {
    b1: ['5e>b1 169.254.169.254>10.0.0.1 udp 53>1'],
  });
});

test('a guest that floods the services is slowed down, and stops nobody else', async () => {
  const services = { port: 2, macAddress: '52:54:00:00:00:5e' };
  const server: Station = { mac: services.macAddress, ip: '169.254.169.254' };
  const ports = [
    port('a1', { macAddress: a1.mac, addresses: [a1.ip] }),
    port('a2', { macAddress: a2.mac, addresses: [a2.ip] }),
  ];
  await load(slice({ networks: [network('blue')], ports }), { services, nicPorts: { a1: 11, a2: 12 } });
  const big = Buffer.concat([udp(a1, server, [1, 53]), Buffer.alloc(1300)]);
  const { services: arrived = [] } = await lab.exchange('a1', ...Array.from({ length: 300 }, () => big));
  assert.ok(arrived.length > 0 && arrived.length < 200, `${arrived.length} of 300`);
  assert.deepEqual(Object.keys(await lab.send('a2', udp(a2, server, [1, 53]))), ['services']);
});
