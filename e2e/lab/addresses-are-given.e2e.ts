/** Guests get addresses, names and metadata from their own host, each its own, also where two tenants use the same addresses. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { nodeBinary } from '@kvasir/lab/layout.ts';
import { until } from '@kvasir/lab/processes.ts';
import { idOf, type Model, type ModelGuest } from './testing/switch/model.ts';
import { type Guest, useSwitchBed } from './testing/switch/switch-bed.ts';

const metadata = '169.254.169.254';
/** As SLAAC forms it from the MAC 52:54:00:0d:00:01. */
const slaac = 'fd00:1::5054:ff:fe0d:1';
const guests: readonly ModelGuest[] = [
  ['web', 'red', 'h1', '52:54:00:0d:00:01', ['10.0.0.11', slaac], ['open']],
  ['db', 'red', 'h2', '52:54:00:0d:00:02', ['10.0.0.12'], ['open']],
  ['other', 'blue', 'h1', '52:54:00:0d:00:03', ['10.0.0.11'], ['open']],
].map(([name, network, host, macAddress, addresses, groups]) => ({
  ...{ name: String(name), network: String(network), host: String(host), macAddress: String(macAddress) },
  addresses: addresses as readonly string[],
  groups: groups as readonly string[],
}));
const subnet = { cidr: '10.0.0.0/24', gateway: '10.0.0.1', dhcp: true, dnsServers: ['10.0.0.53'], leaseSeconds: 3600 };
const subnet6 = { cidr: 'fd00:1::/64', gateway: null, dhcp: true, dnsServers: [], leaseSeconds: 3600 };

describe('addresses are given', { timeout: 180_000 }, () => {
  const bed = useSwitchBed(2);
  const at = new Map<string, Guest>();
  const on = (name: string): Guest => at.get(name)!;
  const model = (): Model => ({
    hosts: bed().vteps,
    networks: [
      { name: 'red', kind: 'vxlan', segment: 100_001, domain: 'red.example', subnets: [subnet, subnet6] },
      { name: 'blue', kind: 'vxlan', segment: 100_002, domain: 'blue.example', subnets: [subnet] },
    ],
    guests,
    groups: { open: [{ direction: 'out' }] },
  });
  /** Runs busybox's DHCP client; answers what it was told. */
  const dhcp = async (guest: Guest): Promise<Record<string, string>> => {
    const script = join(bed().lab.layout.directory, 'udhcpc.sh');
    writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && env\nexit 0\n', { mode: 0o755 });
    const text = await guest.exec(
      'busybox',
      'udhcpc',
      '-f',
      '-q',
      '-n',
      '-t',
      '5',
      '-T',
      '1',
      '-i',
      'eth0',
      '-s',
      script,
      '-O',
      'staticroutes',
      '-O',
      'mtu',
    );
    return Object.fromEntries(text.split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
  };

  before(async () => {
    await bed().apply(model());
    for (const item of guests) at.set(item.name, await bed().plug(item));
  });

  it('DHCP gives each port its reserved address and the settings of its network', async () => {
    const told = await dhcp(on('web'));
    assert.equal(told.ip, '10.0.0.11');
    assert.equal(told.mask, '24');
    assert.equal(told.router, '10.0.0.1');
    assert.equal(told.dns, `${metadata} 10.0.0.53`);
    assert.equal(told.domain, 'red.example');
    assert.equal(told.hostname, 'web');
    assert.equal(told.lease, '3600');
    assert.equal(told.mtu, '1450');
    assert.equal((await dhcp(on('db'))).ip, '10.0.0.12');
    assert.equal((await dhcp(on('other'))).domain, 'blue.example');
    for (const guest of guests) {
      const namespace = on(guest.name);
      await namespace.exec('ip', 'address', 'add', `${guest.addresses[0]}/24`, 'dev', 'eth0');
      await namespace.exec('ip', 'route', 'add', 'default', 'via', '10.0.0.1');
    }
  });

  it('router advertisements give the IPv6 prefix, and the address is the one reserved', async () => {
    await on('web').exec('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=2');
    await on('web').exec('ip', 'link', 'set', 'eth0', 'down');
    await on('web').exec('ip', 'link', 'set', 'eth0', 'addrgenmode', 'eui64', 'up');
    await until('the address by SLAAC', 15_000, async () =>
      (await on('web').exec('ip', '-6', 'address', 'show', 'dev', 'eth0')).includes(slaac),
    );
    await on('web').try('ip', 'route', 'add', 'default', 'via', '10.0.0.1');
  });

  it('metadata is each VM’s own, also behind the same address', async () => {
    const program = 'process.stdout.write(await (await fetch(process.argv[1])).text())';
    const get = (name: string, path: string): Promise<string> =>
      on(name).exec(nodeBinary, '--input-type=module', '-e', program, `http://${metadata}${path}`);
    assert.equal(await get('web', '/latest/meta-data/instance-id'), `i-${idOf('vm web')}`);
    assert.equal(await get('other', '/latest/meta-data/instance-id'), `i-${idOf('vm other')}`);
    assert.equal(await get('db', '/latest/meta-data/local-ipv4'), '10.0.0.12');
    assert.equal(await get('web', '/latest/meta-data/public-keys/0/openssh-key'), 'ssh-ed25519 AAAA somebody');
    assert.equal(await get('web', '/latest/user-data'), '#cloud-config\n');
    const openstack = JSON.parse(await get('web', '/openstack/latest/meta_data.json')) as { readonly uuid: string };
    assert.equal(openstack.uuid, idOf('vm web'));
  });

  it('names of the network’s ports resolve, both ways; others are refused', async () => {
    const lookup = async (name: string, asked: string): Promise<string> =>
      (await on(name).try('busybox', 'nslookup', asked, metadata)).stdout;
    assert.match(await lookup('web', 'db.red.example'), /Address.*10\.0\.0\.12/);
    assert.match(await lookup('db', 'web.red.example'), /fd00:1::5054:ff:fe0d:1/);
    assert.match(await lookup('web', '10.0.0.12'), /name = db\.red\.example/);
    assert.match(await lookup('other', 'db.red.example'), /REFUSED/);
    assert.match(await lookup('web', 'nobody.red.example'), /NXDOMAIN|can't find/);
  });

  it('nothing else of the host is reached at the metadata address', async () => {
    // The host's libvirtd listens there for migrations.
    assert.equal(await on('web').connects(metadata, 16_509), false);
    assert.equal(await on('web').connects('10.77.0.1', 16_509), false);
    assert.equal(await on('web').reaches(metadata), false);
  });
});
