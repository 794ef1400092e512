/** A tenant's networks are joined by a router on every host, and reach the outside through one that gives its place to another. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { run } from '@kvasir/lab/command.ts';
import { until } from '@kvasir/lab/processes.ts';
import { idOf, type Model, type ModelGuest, sliceFor } from './testing/switch/model.ts';
import { startCapture, tcpdump } from './testing/switch/capture.ts';
import { type Guest, useSwitchBed } from './testing/switch/switch-bed.ts';

/** The internet is a namespace on the hosts' VM network. */
const internet = '203.0.113.1';
const [routerAddress, floatingAddress] = ['203.0.113.10', '203.0.113.20'];
const guests: readonly ModelGuest[] = [
  ['shown', 'front', 'h2', '52:54:00:0e:00:01', '10.1.0.11'],
  ['hidden', 'front', 'h2', '52:54:00:0e:00:02', '10.1.0.12'],
  ['store', 'back', 'h1', '52:54:00:0e:00:03', '10.2.0.11'],
].map(([name, network, host, macAddress, address]) => ({
  ...{ name: name!, network: network!, host: host!, macAddress: macAddress! },
  addresses: [address!],
}));
const subnet = (cidr: string, gateway: string) => [{ cidr, gateway, dhcp: true, dnsServers: [], leaseSeconds: 3600 }];

describe('networks are routed', { timeout: 180_000 }, () => {
  const bed = useSwitchBed(2);
  const at = new Map<string, Guest>();
  const on = (name: string): Guest => at.get(name)!;
  let outside: string;
  const model = (gatewayHost: string): Model => ({
    hosts: bed().vteps,
    networks: [
      { name: 'front', kind: 'vxlan', segment: 200_001, subnets: subnet('10.1.0.0/24', '10.1.0.1') },
      { name: 'back', kind: 'vxlan', segment: 200_002, subnets: subnet('10.2.0.0/24', '10.2.0.1') },
      { name: 'external', kind: 'flat', segment: 0, subnets: subnet('203.0.113.0/24', internet), mtu: 1500 },
    ],
    guests,
    routers: [
      {
        routerId: idOf('router'),
        name: 'router',
        macAddress: '52:54:00:0e:01:01',
        interfaces: [
          { networkId: idOf('front'), address: '10.1.0.1', prefixLength: 24 },
          { networkId: idOf('back'), address: '10.2.0.1', prefixLength: 24 },
        ],
        gateway: {
          here: false,
          vtep: '',
          externalNetworkId: idOf('external'),
          macAddress: '52:54:00:0e:01:02',
          address: routerAddress,
          prefixLength: 24,
          nextHop: internet,
          snat: true,
          floating: [{ address: floatingAddress, fixedAddress: '10.1.0.11', networkId: idOf('front') }],
        },
        gatewayHost,
      },
    ],
  });
  const fromOutside = (address: string): Promise<boolean> =>
    run(['ip', 'netns', 'exec', outside, 'ping', '-c', '2', '-i', '0.2', '-W', '1', address]).then(
      () => true,
      () => false,
    );

  before(async () => {
    outside = await bed().namespace('outside');
    const fabric = bed().lab.layout.fabricNamespace;
    const cable = [
      `link add vm-outside type veth peer name o0 netns ${outside}`,
      'link set dev vm-outside master vm up',
    ];
    await run(['ip', '-n', fabric, '-batch', '-'], { input: `${cable.join('\n')}\n` });
    await run(['ip', '-n', outside, '-batch', '-'], {
      input: `link set dev o0 up\naddress add ${internet}/24 dev o0\n`,
    });
    await run(['ip', 'netns', 'exec', outside, 'ethtool', '-K', 'o0', 'tx', 'off']);
    await bed().apply(model('h1'));
    for (const item of guests) {
      const guest = await bed().plug(item, { prefixLength: 24 });
      at.set(item.name, guest);
      await guest.exec('ip', 'route', 'add', 'default', 'via', item.network === 'front' ? '10.1.0.1' : '10.2.0.1');
    }
  });

  it('east to west, on one host and across hosts, and the router itself answers', async () => {
    assert.ok(await on('shown').reaches('10.1.0.1'));
    assert.ok(await on('shown').reaches('10.2.0.11'));
    assert.ok(await on('store').reaches('10.1.0.12'));
  });

  it('out through the gateway host with the address of the router, or its own floating one', async () => {
    const capture = await startCapture(bed().start(outside, [...tcpdump, '-i', 'o0', 'icmp[icmptype] == 8'], 'pipe'));
    await until('the way out', 5000, () => on('hidden').reaches(internet));
    assert.ok(await on('store').reaches(internet));
    assert.ok(await on('shown').reaches(internet));
    const senders = new Set((await capture.stop()).map((line) => /IP (\S+) >/.exec(line)?.[1]));
    assert.deepEqual(senders, new Set([routerAddress, floatingAddress]));
  });

  it('in through a floating address, and nowhere else', async () => {
    assert.ok(await fromOutside(floatingAddress));
    await run(['ip', '-n', outside, 'route', 'add', '10.1.0.0/24', 'via', routerAddress]);
    assert.equal(await fromOutside('10.1.0.12'), false);
    assert.equal(await fromOutside('10.1.0.11'), false);
  });

  it('when the gateway host dies another takes its place, and the outside finds it', async () => {
    await bed().lab.powerOff('h1');
    await bed()
      .host('h2')
      .call({ call: 'apply', generation: 100, slice: sliceFor(model('h2'), 'h2') });
    await until('the way out over the other host', 5000, () => on('hidden').reaches(internet));
    await until('the way in over the other host', 5000, () => fromOutside(floatingAddress));
  });
});
