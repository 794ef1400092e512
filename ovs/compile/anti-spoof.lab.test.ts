/** A guest forges what it can; a real switch lets only its own MAC and addresses pass. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import { cookieOf } from './cookies.ts';
import { FlowLab } from './testing/flow-lab.ts';
import {
  advertisement,
  arpReply,
  arpRequest,
  broadcastMac,
  hiddenInParts,
  linkLocalOf,
  ping,
  rarpAnnouncement,
  routerDiscovery,
  solicitation,
  type Station,
  udp,
} from './testing/frames.ts';
import { localSwitch, network, port, slice } from './testing/slices.ts';

const own: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const own6: Station = { mac: own.mac, ip: 'fd00::a1' };
const other: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const other6: Station = { mac: other.mac, ip: 'fd00::a2' };
const nobody: Station = { mac: own.mac, ip: '0.0.0.0' };
const nobody6: Station = { mac: own.mac, ip: '::' };
const all: Station = { mac: broadcastMac, ip: '255.255.255.255' };

const advertised = routerDiscovery(linkLocalOf(own.mac), 134);

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ guest: 11, other: 12, bare: 13, peer: 14 });
  const given = slice({
    networks: [network('blue'), network('wild', { segment: 5002 })],
    ports: [
      port('guest', { macAddress: own.mac, addresses: [own.ip, own6.ip], antiSpoofing: true }),
      port('other', { macAddress: other.mac, addresses: [other.ip, other6.ip] }),
      port('bare', { networkId: 'wild', macAddress: own.mac, addresses: [], antiSpoofing: true }),
      port('peer', { networkId: 'wild', macAddress: other.mac, addresses: [] }),
    ],
  });
  await lab.load(compile(given, localSwitch(given, { tunnelPort: null })));
});
after(() => lab.stop());

const passes: Readonly<Record<string, Buffer>> = {
  'its own address': udp(own, other, [1, 1]),
  'its own IPv6 address': ping(own6, other6, 128),
  'the link-local address of its MAC': ping(linkLocalOf(own.mac), other6, 128),
  'an ARP answer about itself': arpReply(own, other),
  'an ARP announcement of itself': arpRequest(own, own.ip),
  'whether its address is free': arpRequest(nobody, own.ip),
  'a DHCP request before it has an address': udp(nobody, all, [68, 67]),
  'whether its IPv6 address is free': solicitation(nobody6, own6.ip, null),
  'whether its link-local address is free': solicitation(nobody6, linkLocalOf(own.mac).ip, null),
  'an advertisement of its own address': advertisement(own6, own6.ip, own.mac),
  'who has an unknown IPv6 address': solicitation(own6, 'fd00::77'),
  'a router solicitation': routerDiscovery(linkLocalOf(own.mac), 133),
  'a later part of a message': hiddenInParts(ping(own6, other6, 128))[1],
  'an announcement after a move': rarpAnnouncement(own.mac),
};

const forgeries: Readonly<Record<string, Buffer>> = {
  "another's MAC": udp({ ...own, mac: '52:54:00:00:00:66' }, other, [1, 1]),
  "another's address": udp({ ...own, ip: '10.0.0.66' }, other, [1, 1]),
  "another's IPv6 address": ping({ ...own6, ip: 'fd00::66' }, other6, 128),
  "another's link-local address": ping({ ...linkLocalOf(other.mac), mac: own.mac }, other6, 128),
  "an ARP answer with another's address": arpReply({ ...own, ip: '10.0.0.66' }, other),
  "an ARP question in another's name": arpRequest({ ...own, ip: '10.0.0.66' }, '10.0.0.77'),
  "an ARP question with another's hardware address": arpRequest(own, '10.0.0.77', '52:54:00:00:00:66'),
  'no address, but no DHCP either': udp(nobody, all, [68, 69]),
  'a DHCP request to one host': udp(nobody, other, [68, 67]),
  "an advertisement of another's address": advertisement(own6, other6.ip, own.mac),
  "an advertisement with another's MAC": advertisement(own6, own6.ip, other.mac),
  "a solicitation with another's MAC": solicitation(own6, 'fd00::77', other.mac),
  "a claim to look for another's address": solicitation(nobody6, 'fd00::66', null),
  'a router advertisement': routerDiscovery(linkLocalOf(own.mac), 134),
  'a DHCP answer': udp(own, other, [67, 68]),
  'a DHCPv6 answer': udp(own6, other6, [547, 546]),
  'the part of a message that does not say what message it is': hiddenInParts(advertised)[0],
  'the part of a message that ends within its headers': hiddenInParts(advertised, true)[0],
  "an announcement of another's MAC": rarpAnnouncement('52:54:00:00:00:66'),
};

for (const [what, frame] of Object.entries(passes)) {
  test(`passes: ${what}`, async () => assert.deepEqual(Object.keys(await lab.send('guest', frame)), ['other']));
}

for (const [what, frame] of Object.entries(forgeries)) {
  test(`stays: ${what}`, async () => assert.deepEqual(await lab.send('guest', frame), {}));
}

const passesWithoutAddress: Readonly<Record<string, Buffer>> = {
  'any address': udp({ ...own, ip: '192.0.2.7' }, other, [1, 1]),
  'any IPv6 address': ping({ ...own6, ip: 'fd00::77' }, other6, 128),
  'an ARP answer about any address': arpReply({ ...own, ip: '192.0.2.7' }, other),
  'a DHCP request': udp(nobody, all, [68, 67]),
  'an advertisement of any address': advertisement(own6, 'fd00::77', own.mac),
  'whether any IPv6 address is free': solicitation(nobody6, 'fd00::77', null),
};

const forgeriesWithoutAddress: Readonly<Record<string, Buffer>> = {
  "another's MAC": udp({ ...own, mac: '52:54:00:00:00:66' }, other, [1, 1]),
  "an ARP question with another's hardware address": arpRequest(own, '10.0.0.77', '52:54:00:00:00:66'),
  "an advertisement with another's MAC": advertisement(own6, own6.ip, other.mac),
  "a solicitation with another's MAC": solicitation(own6, 'fd00::77', other.mac),
  'a router advertisement': advertised,
  'the part of a message that does not say what message it is': hiddenInParts(advertised)[0],
  'a DHCP answer': udp(own, other, [67, 68]),
};

for (const [what, frame] of Object.entries(passesWithoutAddress)) {
  test(`where no address is known, passes: ${what}`, async () =>
    assert.deepEqual(Object.keys(await lab.send('bare', frame)), ['peer']));
}

for (const [what, frame] of Object.entries(forgeriesWithoutAddress)) {
  test(`where no address is known, stays: ${what}`, async () => assert.deepEqual(await lab.send('bare', frame), {}));
}

test('what was forged is counted by port', async () => {
  await lab.appctl('revalidator/purge');
  const dump = await lab.ofctl('dump-flows', `cookie=0x${cookieOf('spoofed', 'guest').toString(16)}/-1`);
  const counted = [...dump.matchAll(/n_packets=(\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
  assert.equal(counted, Object.keys(forgeries).length);
});
