/** A real switch apart from its flows: packets, ports, connections, and what it says of itself. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Flow } from '../flow.ts';
import { flow, TestBridge } from '../testing/bridge.ts';
import { parseTrace } from '../trace.ts';
import { Unixctl } from '../unixctl.ts';
import type { FlowClient } from './client.ts';

let bridge: TestBridge;
let client: FlowClient;
let unixctl: Unixctl;

/** 10.0.0.1:1000 to 10.0.0.2:2000, with a header checksum that holds. */
const udpPacket = Buffer.from(
  '020000000002020000000001080045000020000000004011' +
    '66cb' +
    '0a0000010a00000203e807d0000c000061626364' +
    '00'.repeat(14),
  'hex',
);

before(async () => {
  bridge = await TestBridge.start();
  unixctl = new Unixctl({ runDirectory: bridge.ovs.directory });
});
after(() => bridge.stop());

beforeEach(async () => {
  client = await bridge.open();
  await client.replace({ flows: [], meters: [] });
});
afterEach(() => client.close());

test('a packet goes through the pipeline and comes to us with what we put beside it', async () => {
  const userdata = new Uint8Array([1, 2, 3]);
  const asks: Flow = {
    table: 20,
    priority: 1,
    cookie: 42n,
    match: { reg1: { value: 5n } },
    actions: [
      { do: 'set', to: 'metadata', value: 9_000_001n },
      { do: 'controller', userdata },
    ],
  };
  await client.replace({ flows: [asks], meters: [] });
  const arrival = once(client, 'packetIn', { signal: AbortSignal.timeout(5_000) });
  const data = Buffer.from(Array.from({ length: 100 }, (_, n) => n));
  await client.packetOut({
    inPort: 1,
    actions: [
      { do: 'set', to: 'reg1', value: 5n },
      { do: 'resubmit', table: 20 },
    ],
    data,
  });
  const [packet] = await arrival;
  assert.deepEqual(packet.data, data);
  assert.deepEqual([...packet.userdata], [1, 2, 3]);
  assert.deepEqual([packet.inPort, packet.table, packet.cookie, packet.fullLength], [1, 20, 42n, 100]);
  assert.deepEqual([packet.fields.reg1, packet.fields.metadata], [{ value: 5n }, { value: 9_000_001n }]);
  await assert.rejects(
    client.packetOut({ actions: [{ do: 'group', groupId: 99 }], data }),
    /a packet: OFPBAC_BAD_OUT_GROUP/,
  );
});

test('connections of one zone are flushed, those of another stay; the switch explains its way', async () => {
  const commit = (priority: number, zone: number): Flow =>
    flow(priority, [{ do: 'ct', commit: true, zone }], {
      table: priority,
      match: { eth_type: { value: 0x800n }, ct_state: { value: 0n, mask: 0x20n } },
    });
  await client.replace({ flows: [commit(1, 7), commit(2, 8)], meters: [] });
  for (const table of [1, 2])
    await client.packetOut({ inPort: 1, actions: [{ do: 'resubmit', table }], data: udpPacket });
  const zones = async () => {
    const entries = await unixctl.call('dpctl/dump-conntrack', 'netdev@ovs-netdev');
    return [...entries.matchAll(/zone=(\d+)/g)].map(([, zone]) => zone).sort();
  };
  assert.deepEqual(await zones(), ['7', '8']);
  await client.flushConntrack(7);
  assert.deepEqual(await zones(), ['8']);
  await client.flushConntrack(8);
  assert.match(await unixctl.trace('br0', 'in_port=1,ip,nw_dst=10.0.0.2'), /Datapath actions: drop/);
  await assert.rejects(unixctl.trace('nosuch', 'in_port=1'), { kind: 'refused' });
  await unixctl.purgeRevalidators();
  await unixctl.setTunnelNeighbor('br0', '192.0.2.1', '02:00:00:00:00:01');
  assert.match(await unixctl.call('tnl/neigh/show'), /192\.0\.2\.1 +02:00:00:00:00:01/);
  assert.deepEqual([await unixctl.showBond(), await unixctl.showLacp()], ['', '']);
});

test('the way of a packet is told table by table', async () => {
  const ipv4 = { eth_type: { value: 0x800n } };
  const tracked = { ...ipv4, ct_state: { value: 0x22n, mask: 0x22n } };
  const flows = [
    flow(0, [
      { do: 'set', to: 'reg1', value: 5n },
      { do: 'resubmit', table: 10 },
    ]),
    flow(100, [{ do: 'ct', commit: false, zone: 5, table: 20 }], { table: 10, cookie: 0x12n, match: ipv4 }),
    flow(
      7,
      [
        { do: 'clone', actions: [{ do: 'resubmit', table: 30 }] },
        { do: 'output', port: 99 },
      ],
      { table: 20, match: tracked },
    ),
  ];
  await client.replace({ flows, meters: [] });
  const trace = async (...states: string[]) =>
    parseTrace(await unixctl.trace('br0', 'in_port=1,tcp,nw_dst=10.0.0.2', states));

  const [before, established, ...more] = await trace('trk,est');
  assert.ok(before && established && more.length === 0);
  const [first, second] = before.steps;
  assert.deepEqual(first?.flow, { match: '', priority: 0, cookie: 0n });
  assert.deepEqual([first?.table, first?.actions], [0, ['set_field:0x5->reg1', 'resubmit(,10)']]);
  assert.deepEqual([second?.table, second?.flow], [10, { match: 'ip', priority: 100, cookie: 0x12n }]);
  assert.match(before.finalFlow, /reg1=0x5/);
  assert.match(before.datapathActions, /^ct\(zone=5\),recirc\(/);
  const way = established.steps.map(({ table, depth, flow: hit }) => [table, depth, hit?.match ?? null]);
  assert.deepEqual(way, [
    [20, 0, 'ct_state=+est+trk,ip'],
    [30, 1, null],
  ]);
  const [outer, inner] = established.steps;
  assert.deepEqual(
    [outer?.actions, inner?.actions],
    [['clone(resubmit(,30))', 'resubmit(,30)', 'output:99'], ['drop']],
  );
  assert.deepEqual(outer?.notes, ['Nonexistent output port']);
  assert.equal(established.datapathActions, 'drop');

  const [, fresh] = await trace();
  assert.deepEqual(
    fresh?.steps.map(({ table, flow: hit }) => [table, hit]),
    [[20, null]],
  );
  assert.throws(() => parseTrace('nobr: unknown bridge'), SyntaxError);
});

test('ports have numbers, and their coming and going is told', async () => {
  const known = await client.ports();
  assert.deepEqual(known.map((port) => port.name).sort(), ['br0', 'p1']);
  assert.equal(known.find((port) => port.name === 'p1')?.number, 1);
  const added = once(client, 'port', { signal: AbortSignal.timeout(5_000) });
  await bridge.ovs.vsctl(
    'add-port',
    'br0',
    'p9',
    '--',
    'set',
    'interface',
    'p9',
    'type=patch',
    'options:peer=p8',
    'ofport_request=9',
  );
  const [{ change, port }] = await added;
  assert.deepEqual([change, port.name, port.number], ['added', 'p9', 9]);
  const removed = once(client, 'port', { signal: AbortSignal.timeout(5_000) });
  await bridge.ovs.vsctl('del-port', 'p9');
  assert.equal((await removed)[0].change, 'removed');
});
