/** The distributed router and its gateway on a real switch: between networks, out with translated addresses, and back in. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import type { LocalSwitch } from './local.ts';
import type { Gateway, Slice } from './slice.ts';
import { FlowLab } from './testing/flow-lab.ts';
import { arpRequest, ping, type Station, tcp, udp, withVlan } from './testing/frames.ts';
import { gateway, localSwitch, network, port, router, rule, slice } from './testing/slices.ts';

const blue: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const green: Station = { mac: '52:54:00:00:00:b1', ip: '10.1.0.1' };
const blue6: Station = { mac: blue.mac, ip: 'fd00::a1' };
const green6: Station = { mac: green.mac, ip: 'fd01::b1' };
const hop = '52:54:00:ff:00:0f';
const outerMac = '52:54:00:ee:00:0e';
const internet: Station = { mac: '52:54:00:00:00:99', ip: '198.51.100.9' };
const floatingBlue = '203.0.113.50';
const floatingGreen = '203.0.113.51';
const tagged = (frame: Buffer): Buffer => withVlan(100, frame);
/** Through the router: its MAC, the other's address. */
const via = (station: Station, mac = hop): Station => ({ mac, ip: station.ip });
const outer = (ip: string): Station => ({ mac: outerMac, ip });

let lab: FlowLab;
before(async () => {
  lab = await FlowLab.start({ blue: 11, green: 12, uplink: 3, tunnel: 1 });
});
after(() => lab.stop());

function world(out: Gateway | null): Slice {
  return slice({
    networks: [
      network('blue'),
      network('green', { segment: 9_000_001 }),
      network('outside', { kind: 'vlan', segment: 100, switchId: 'wan' }),
    ],
    ports: [
      port('blue', { macAddress: blue.mac, addresses: [blue.ip, blue6.ip], filtered: true, securityGroupIds: ['g'] }),
      port('green', { networkId: 'green', macAddress: green.mac, addresses: [green.ip, green6.ip] }),
    ],
    groups: [
      {
        groupId: 'g',
        rules: [
          rule('out', { direction: 'out' }),
          rule('out6', { direction: 'out', family: 'ipv6' }),
          rule('ssh', { protocol: 6, ports: { from: 22, to: 22 } }),
        ],
      },
    ],
    routers: [
      router({
        macAddress: hop,
        interfaces: [
          { networkId: 'blue', address: '10.0.0.254', prefixLength: 24 },
          { networkId: 'blue', address: 'fd00::1', prefixLength: 64 },
          { networkId: 'green', address: '10.1.0.254', prefixLength: 24 },
          { networkId: 'green', address: 'fd01::1', prefixLength: 64 },
        ],
        gateway: out,
      }),
    ],
  });
}

const here = gateway({
  macAddress: outerMac,
  floating: [{ address: floatingGreen, fixedAddress: green.ip, networkId: 'green' }],
});

async function load(given: Slice, local: Partial<LocalSwitch> = {}): Promise<void> {
  const neighbours = { outside: { '203.0.113.1': internet.mac } };
  await lab.load(compile(given, localSwitch(given, { uplinkPorts: { wan: 3 }, neighbours, ...local })));
}

test('between two networks of a tenant, on one host', async () => {
  await load(world(null));
  assert.deepEqual(await lab.send('blue', arpRequest(blue, '10.0.0.254')), { blue: ['f>a1 arp 10.0.0.254 is at f'] });
  assert.deepEqual(await lab.send('blue', udp(blue, via(green), [1, 2])), {
    green: ['f>b1 10.0.0.1>10.1.0.1 udp 1>2 ttl 63'],
  });
  assert.deepEqual(await lab.send('green', udp(green, via(blue), [2, 1])), {
    blue: ['f>a1 10.1.0.1>10.0.0.1 udp 2>1 ttl 63'],
  });
  assert.deepEqual(await lab.send('green', udp(green, via(blue), [3, 3])), {}, 'the rules of the receiver hold');
  assert.deepEqual(await lab.send('blue', ping(blue6, via(green6), 128)), {
    green: ['f>b1 fd00::a1>fd01::b1 icmp 128 ttl 63'],
  });
});

test('the router answers pings, lets expired packets go no further, and routes nowhere unknown', async () => {
  await load(world(null));
  const near = { mac: hop, ip: '10.0.0.254' };
  assert.deepEqual(await lab.send('blue', ping(blue, near)), { blue: ['f>a1 10.0.0.254>10.0.0.1 icmp 0'] });
  assert.deepEqual(await lab.send('blue', ping(blue, { mac: hop, ip: '10.1.0.254' })), {
    blue: ['f>a1 10.1.0.254>10.0.0.1 icmp 0'],
  });
  assert.deepEqual(await lab.send('blue', ping(blue6, { mac: hop, ip: 'fd00::1' }, 128)), {
    blue: ['f>a1 fd00::1>fd00::a1 icmp 129'],
  });
  assert.deepEqual(await lab.send('blue', udp(blue, via(green), [1, 2])), {
    green: ['f>b1 10.0.0.1>10.1.0.1 udp 1>2 ttl 63'],
  });
  assert.deepEqual(await lab.send('blue', ping(blue, via(green), 8, { ttl: 1 })), {});
  assert.deepEqual(await lab.send('blue', udp(blue, near, [1, 2])), {});
  assert.deepEqual(await lab.send('blue', udp(blue, { mac: hop, ip: '10.1.0.77' }, [1, 2])), {});
  assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1, 2])), {}, 'no gateway');
});

test('out: the gateway elsewhere gets the frame as it is, over the tunnel', async () => {
  await load(world(gateway({ here: false })));
  assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1, 2])), {
    tunnel: ['a1>f 10.0.0.1>198.51.100.9 udp 1>2'],
  });
});

test('out with the address of the router, and only answers come back', async () => {
  await load(world(here));
  const answer = (port: number): Buffer => udp({ ...internet }, outer('203.0.113.2'), [53, port]);
  assert.deepEqual(await lab.send('uplink', tagged(answer(1000))), {});
  assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1000, 53])), {
    uplink: ['e>99 vlan 100 203.0.113.2>198.51.100.9 udp 1000>53 ttl 63'],
  });
  assert.deepEqual(await lab.send('uplink', tagged(answer(1000))), {
    blue: ['f>a1 198.51.100.9>10.0.0.1 udp 53>1000 ttl 63'],
  });
  assert.deepEqual(await lab.send('uplink', tagged(answer(1001))), {});
  const direct = { mac: outerMac, ip: green.ip };
  assert.deepEqual(await lab.send('uplink', tagged(udp(internet, direct, [1, 1]))), {}, 'not past the translation');
});

test('what finds no room among the connections of the router does not go out under an address from inside', async () => {
  for (const snat of [true, false]) {
    const given = world({ ...here, snat });
    await load(given);
    const zone = localSwitch(given).numbers.routers.router;
    await lab.appctl('dpctl/ct-set-limits', `zone=${zone},limit=1`);
    assert.notDeepEqual(await lab.send('green', udp(green, via(internet), [1, 2])), {}, 'the first one has room');
    assert.deepEqual(await lab.send('green', udp(green, via(internet), [3, 4])), {}, 'a floating address');
    if (snat) assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1, 2])), {}, 'that of the router');
    assert.notDeepEqual(await lab.send('green', udp(green, via(internet), [1, 2])), {}, 'what has begun goes on');
    await lab.appctl('dpctl/ct-del-limits', `zone=${zone}`);
  }
});

test('what is sent again before there is an answer goes out as the first time', async () => {
  for (const snat of [true, false]) {
    await load(world({ ...here, snat }));
    const first = await lab.send('green', udp(green, via(internet), [1, 2]));
    assert.deepEqual(first, { uplink: ['e>99 vlan 100 203.0.113.51>198.51.100.9 udp 1>2 ttl 63'] });
    assert.deepEqual(await lab.send('green', udp(green, via(internet), [1, 2])), first, `snat ${snat}`);
    assert.deepEqual(
      await lab.send('blue', udp(blue, via(internet), [1, 2])),
      await lab.send('blue', udp(blue, via(internet), [1, 2])),
    );
  }
});

test('a floating address works from both sides, and is answered for', async () => {
  await load(world(here));
  const neighbour: Station = { mac: internet.mac, ip: '203.0.113.1' };
  assert.deepEqual(await lab.send('uplink', tagged(arpRequest(neighbour, floatingGreen))), {
    uplink: ['e>99 vlan 100 arp 203.0.113.51 is at e'],
  });
  assert.deepEqual(await lab.send('green', udp(green, via(internet), [1, 2])), {
    uplink: ['e>99 vlan 100 203.0.113.51>198.51.100.9 udp 1>2 ttl 63'],
  });
  assert.deepEqual(await lab.send('uplink', tagged(tcp(internet, outer(floatingGreen), [5, 80], { flags: 'S' }))), {
    green: ['f>b1 198.51.100.9>10.1.0.1 tcp 5>80 S ttl 63'],
  });
  const answer = tcp(green, via(internet), [80, 5], { flags: 'SA', sequence: 7, acknowledged: 1001 });
  assert.deepEqual(await lab.send('green', answer), {
    uplink: ['e>99 vlan 100 203.0.113.51>198.51.100.9 tcp 80>5 SA ttl 63'],
  });
});

test('from outside nobody sends under an address of the networks inside, whose groups may be let in', async () => {
  for (const snat of [true, false]) {
    await load(world({ ...here, snat }));
    const forged: Station = { mac: internet.mac, ip: blue.ip };
    assert.deepEqual(await lab.send('uplink', tagged(udp(forged, outer(floatingGreen), [1, 2]))), {}, `snat ${snat}`);
    assert.deepEqual(await lab.send('uplink', tagged(udp(internet, outer(floatingGreen), [1, 2]))), {
      green: ['f>b1 198.51.100.9>10.1.0.1 udp 1>2 ttl 63'],
    });
  }
});

test('what comes in is not sent out again when its address is gone', async () => {
  const floating = [{ address: floatingGreen, fixedAddress: '10.77.0.1', networkId: 'green' }];
  await load(world({ ...here, floating }));
  assert.deepEqual(await lab.send('uplink', tagged(udp(internet, outer(floatingGreen), [1, 2]))), {});
});

test('one tenant network reaches the floating address of another, and the rules still hold', async () => {
  const floating = [...here.floating, { address: floatingBlue, fixedAddress: blue.ip, networkId: 'blue' }];
  await load(world({ ...here, floating }));
  assert.deepEqual(await lab.send('blue', udp(blue, { mac: hop, ip: floatingGreen }, [1, 2])), {
    green: ['f>b1 203.0.113.50>10.1.0.1 udp 1>2 ttl 63'],
  });
  assert.deepEqual(await lab.send('green', udp(green, { mac: hop, ip: floatingBlue }, [2, 1])), {
    blue: ['f>a1 203.0.113.51>10.0.0.1 udp 2>1 ttl 63'],
  });
  assert.deepEqual(await lab.send('green', udp(green, { mac: hop, ip: floatingBlue }, [9, 9])), {});
});

test('a guest reaches its own floating address', async () => {
  await load(world(here));
  assert.deepEqual(await lab.send('green', udp(green, { mac: hop, ip: floatingGreen }, [1, 2])), {
    green: ['f>b1 203.0.113.51>10.1.0.1 udp 1>2 ttl 63'],
  });
  assert.deepEqual(await lab.send('green', udp(green, { mac: hop, ip: floatingGreen }, [2, 1])), {
    green: ['f>b1 203.0.113.51>10.1.0.1 udp 2>1 ttl 63'],
  });
});

test('the outer address of the router answers pings; an unknown neighbour costs the packet', async () => {
  await load(world(here));
  const remote: Station = { mac: internet.mac, ip: '198.51.100.9' };
  assert.deepEqual(await lab.send('uplink', tagged(ping(remote, outer('203.0.113.2')))), {
    uplink: ['e>99 vlan 100 203.0.113.2>198.51.100.9 icmp 0'],
  });
  await load(world(here), { neighbours: {} });
  assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1000, 53])), {});
});

test('without translation the outside reaches the networks directly', async () => {
  await load(world({ ...here, snat: false }));
  const forged: Station = { mac: blue.mac, ip: '192.0.2.66' };
  assert.deepEqual(
    await lab.send('blue', udp(forged, via(internet), [1, 2])),
    {},
    'no address from elsewhere goes out',
  );
  assert.deepEqual(await lab.send('blue', udp(blue, via(internet), [1, 2])), {
    uplink: ['e>99 vlan 100 10.0.0.1>198.51.100.9 udp 1>2 ttl 63'],
  });
  assert.deepEqual(
    await lab.send('uplink', tagged(tcp(internet, { mac: outerMac, ip: blue.ip }, [5, 22], { flags: 'S' }))),
    {
      blue: ['f>a1 198.51.100.9>10.0.0.1 tcp 5>22 S ttl 63'],
    },
  );
});
