/** Two real switches with a VXLAN tunnel between them; the test is the wire, so it sees every encapsulated frame. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compile } from './compile.ts';
import type { Network, Port, Router, Slice } from './slice.ts';
import { FlowLab } from './testing/flow-lab.ts';
import { frameText } from './testing/frame-text.ts';
import { arpRequest, broadcastMac, type Station, udp } from './testing/frames.ts';
import { gateway, localSwitch, network, port, router, slice } from './testing/slices.ts';

const a1: Station = { mac: '52:54:00:00:00:a1', ip: '10.0.0.1' };
const a2: Station = { mac: '52:54:00:00:00:a2', ip: '10.0.0.2' };
const b2: Station = { mac: '52:54:00:00:00:b2', ip: '10.0.0.2' };
const all: Station = { mac: broadcastMac, ip: '10.0.0.255' };
const vteps = ['172.31.0.1', '172.31.0.2', '172.31.0.3'] as const;
const phyMac = (vtep: string): string => `02:00:00:00:00:0${vtep.slice(-1)}`;
const blueVni = 9_000_001;
const redVni = 16_777_214;

let one: FlowLab;
let two: FlowLab;
before(async () => {
  [one, two] = await Promise.all([host(vteps[0], { a1: 11, b1: 12 }), host(vteps[1], { a2: 11, b2: 12, uplink: 3 })]);
});
after(() => Promise.all([one.stop(), two.stop()]));

async function host(vtep: string, ports: Readonly<Record<string, number>>): Promise<FlowLab> {
  const lab = await FlowLab.start(ports);
  await lab.addUnderlay(vtep, phyMac(vtep), Object.fromEntries(vteps.map((peer) => [peer, phyMac(peer)])));
  const tunnel = ['type=vxlan', 'options:key=flow', 'options:remote_ip=flow'];
  await lab.vsctl('add-port', 'br', 'vx', '--', 'set', 'interface', 'vx', ...tunnel, 'ofport_request=1');
  return lab;
}

function onHost(ports: readonly Port[], networks: readonly Network[], routers: readonly Router[] = []): Slice {
  return slice({ networks, ports, routers });
}

const at = ({ mac, ip }: Station, networkId = 'blue') => ({ networkId, macAddress: mac, addresses: [ip] });
const there = ({ mac, ip }: Station, ...behind: string[]) => ({ macAddress: mac, addresses: [ip], vteps: behind });
const blue = (given: Partial<Network> = {}) => network('blue', { segment: blueVni, ...given });

async function load(lab: FlowLab, given: Slice, uplinkPorts: Record<string, number> = {}): Promise<void> {
  await lab.load(compile(given, localSwitch(given, { uplinkPorts })));
}

/** `172.31.0.2 vni 9000001: <inner frame>` */
function encapsulated(outer: Buffer): string {
  assert.equal(outer.readUInt16BE(36), 4789);
  const to = [...outer.subarray(30, 34)].join('.');
  return `${to} vni ${outer.readUIntBE(46, 3)}: ${frameText(outer.subarray(50))}`;
}

async function sent(lab: FlowLab, from: string, frame: Buffer): Promise<string[]> {
  return ((await lab.exchange(from, frame))['wire'] ?? []).map(encapsulated);
}

test('a frame for a port elsewhere goes there alone, with its VNI, and arrives', async () => {
  await load(
    one,
    onHost([port('a1', at(a1))], [blue({ remotePorts: [there(a2, vteps[1])], memberVteps: [vteps[1]] })]),
  );
  await load(
    two,
    onHost([port('a2', at(a2))], [blue({ remotePorts: [there(a1, vteps[0])], memberVteps: [vteps[0]] })]),
  );
  const frame = udp(a1, a2, [1, 2]);
  const { wire = [], ...others } = await one.exchange('a1', frame);
  assert.deepEqual(others, {});
  assert.deepEqual(wire.map(encapsulated), ['172.31.0.2 vni 9000001: a1>a2 10.0.0.1>10.0.0.2 udp 1>2']);
  assert.deepEqual(await two.send('wire', wire[0] as Buffer), { a2: ['a1>a2 10.0.0.1>10.0.0.2 udp 1>2'] });
});

test('while a VM moves, both of its hosts are fed', async () => {
  await load(one, onHost([port('a1', at(a1))], [blue({ remotePorts: [there(a2, vteps[1], vteps[2])] })]));
  assert.deepEqual(await sent(one, 'a1', udp(a1, a2, [1, 2])), [
    '172.31.0.2 vni 9000001: a1>a2 10.0.0.1>10.0.0.2 udp 1>2',
    '172.31.0.3 vni 9000001: a1>a2 10.0.0.1>10.0.0.2 udp 1>2',
  ]);
  const arriving = { ...port('b1', at(a2)), phase: 'incoming' as const };
  const given = onHost([port('a1', at(a1)), arriving], [blue({ remotePorts: [there(a2, vteps[1])] })]);
  await one.load(compile(given, localSwitch(given, { nicPorts: { a1: 11, b1: 12 } })));
  const { wire = [], b1 = [] } = await one.exchange('a1', udp(a1, a2, [1, 2]));
  assert.deepEqual([wire.length, b1.length], [1, 1], 'the host that it moves to feeds it and the one it leaves');
});

test('a broadcast goes once to each host that has members, and from the tunnel to ports alone', async () => {
  await load(one, onHost([port('a1', at(a1))], [blue({ memberVteps: [vteps[1]], externalVteps: [vteps[2]] })]));
  await load(
    two,
    onHost([port('a2', at(a2))], [blue({ memberVteps: [vteps[0], vteps[2]], externalVteps: [vteps[2]] })]),
  );
  const { wire = [] } = await one.exchange('a1', udp(a1, all, [1, 2]));
  assert.deepEqual(
    wire.map(encapsulated).map((text) => text.slice(0, 22)),
    ['172.31.0.2 vni 9000001', '172.31.0.3 vni 9000001'],
  );
  assert.deepEqual(await two.send('wire', wire[0] as Buffer), { a2: ['a1>all 10.0.0.1>10.0.0.255 udp 1>2'] });
});

test('a frame for an unknown MAC is dropped, or goes to foreign VTEPs alone where there are some', async () => {
  await load(one, onHost([port('a1', at(a1))], [blue({ memberVteps: [vteps[1]] })]));
  assert.deepEqual(await one.exchange('a1', udp(a1, a2, [1, 2])), {});
  await load(one, onHost([port('a1', at(a1))], [blue({ memberVteps: [vteps[1]], externalVteps: [vteps[2]] })]));
  assert.deepEqual(await sent(one, 'a1', udp(a1, a2, [1, 2])), [
    '172.31.0.3 vni 9000001: a1>a2 10.0.0.1>10.0.0.2 udp 1>2',
  ]);
});

test('two tenants with the same addresses stay apart, and a VNI that is not served here is dropped', async () => {
  const red = (given: Partial<Network> = {}) => network('red', { segment: redVni, ...given });
  const remote = { remotePorts: [there(a2, vteps[1])], memberVteps: [vteps[1]] };
  await load(one, onHost([port('a1', at(a1)), port('b1', at(a1, 'red'))], [blue(remote), red(remote)]));
  const fromBlue = (await one.exchange('a1', udp(a1, a2, [1, 2])))['wire']?.[0] as Buffer;
  const fromRed = (await one.exchange('b1', udp(a1, a2, [1, 2])))['wire']?.[0] as Buffer;
  assert.match(encapsulated(fromRed), /vni 16777214/);
  const back = { memberVteps: [vteps[0]] };
  // The same MAC in both networks there.
  await load(two, onHost([port('a2', at(a2)), port('b2', at({ ...b2, mac: a2.mac }, 'red'))], [blue(back), red(back)]));
  assert.deepEqual(Object.keys(await two.send('wire', fromBlue)), ['a2']);
  assert.deepEqual(Object.keys(await two.send('wire', fromRed)), ['b2']);
  await load(two, onHost([port('a2', at(a2))], [blue(back)]));
  assert.deepEqual(await two.send('wire', fromRed), {});
});

test('a frame from a sender that is no host is dropped; from a foreign VTEP it enters the networks that have it', async () => {
  const remote = { remotePorts: [there(a2, vteps[1])], memberVteps: [vteps[1]] };
  const red = network('red', { segment: redVni, ...remote });
  await load(one, onHost([port('a1', at(a1)), port('b1', at(a1, 'red'))], [blue(remote), red]));
  const fromBlue = (await one.exchange('a1', udp(a1, a2, [1, 2])))['wire']?.[0] as Buffer;
  const fromRed = (await one.exchange('b1', udp(a1, a2, [1, 2])))['wire']?.[0] as Buffer;
  const arriving = async (known: readonly string[], foreign: readonly string[]): Promise<string[]> => {
    const networks = [blue({ externalVteps: foreign }), network('red', { segment: redVni, memberVteps: known })];
    const ports = [port('a2', at(a2)), port('b2', at({ ...b2, mac: a2.mac }, 'red'))];
    await load(two, onHost(ports, networks));
    return [...Object.keys(await two.send('wire', fromBlue)), ...Object.keys(await two.send('wire', fromRed))];
  };
  assert.deepEqual(await arriving([vteps[1], vteps[2]], []), []);
  assert.deepEqual(await arriving([vteps[0]], []), ['a2', 'b2']);
  assert.deepEqual(await arriving([vteps[1]], [vteps[0]]), ['a2']);
});

test('the way out leads over the gateway host, and the answer straight back', async () => {
  const hop = { mac: '52:54:00:ff:00:0f', ip: '198.51.100.9' };
  const out = gateway({ vtep: vteps[1], macAddress: '52:54:00:ee:00:0e', here: false });
  const routers = (here: boolean) => [
    router({
      macAddress: hop.mac,
      interfaces: [{ networkId: 'blue', address: '10.0.0.254', prefixLength: 24 }],
      gateway: { ...out, here },
    }),
  ];
  await load(one, onHost([port('a1', at(a1))], [blue({ memberVteps: [vteps[1]] })], routers(false)));
  const outside = network('outside', { kind: 'flat', segment: 0, switchId: 'wan' });
  const given = onHost([], [blue({ remotePorts: [there(a1, vteps[0])] }), outside], routers(true));
  const neighbours = { outside: { '203.0.113.1': '52:54:00:00:00:99' } };
  await two.load(compile(given, localSwitch(given, { uplinkPorts: { wan: 3 }, neighbours })));

  const { wire = [] } = await one.exchange('a1', udp(a1, hop, [1000, 53]));
  assert.deepEqual(wire.map(encapsulated), ['172.31.0.2 vni 9000001: a1>f 10.0.0.1>198.51.100.9 udp 1000>53']);
  assert.deepEqual(await two.send('wire', wire[0] as Buffer), {
    uplink: ['e>99 203.0.113.2>198.51.100.9 udp 1000>53 ttl 63'],
  });
  const internet = { mac: '52:54:00:00:00:99', ip: '198.51.100.9' };
  const answer = udp(internet, { mac: '52:54:00:ee:00:0e', ip: '203.0.113.2' }, [53, 1000]);
  const back = (await two.exchange('uplink', answer))['wire'] ?? [];
  assert.deepEqual(back.map(encapsulated), ['172.31.0.1 vni 9000001: f>a1 198.51.100.9>10.0.0.1 udp 53>1000 ttl 63']);
  assert.deepEqual(await one.send('wire', back[0] as Buffer), {
    a1: ['f>a1 198.51.100.9>10.0.0.1 udp 53>1000 ttl 63'],
  });
});

test('behind a foreign VTEP the router is found on its gateway host, and nowhere else', async () => {
  const routers = (here: boolean) => [
    router({
      macAddress: '52:54:00:ff:00:0f',
      interfaces: [{ networkId: 'blue', address: '10.0.0.254', prefixLength: 24 }],
      gateway: gateway({ here }),
    }),
  ];
  await load(one, onHost([port('a1', at(a1))], [blue({ memberVteps: [vteps[1]] })]));
  const { wire = [] } = await one.exchange('a1', arpRequest(a1, '10.0.0.254'));
  const foreign = blue({ remotePorts: [there(a1, vteps[0])], externalVteps: [vteps[0]] });
  const asked = async (here: boolean): Promise<string[]> => {
    await load(two, onHost([port('a2', at(a2))], [foreign], routers(here)));
    return sent(two, 'wire', wire[0] as Buffer);
  };
  assert.deepEqual(await asked(true), ['172.31.0.1 vni 9000001: f>a1 arp 10.0.0.254 is at f']);
  assert.deepEqual(await asked(false), []);
});
