/** The OpenFlow client against a real switch. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Flow, FlowTable, Meter } from '../flow.ts';
import { formatFlow } from '../format-flow.ts';
import { everyFlow, groupOfEveryFlow, meterOfEveryFlow } from '../testing/every-flow.ts';
import { TestSwitch } from '../testing/switch.ts';
import { Unixctl } from '../unixctl.ts';
import { FlowClient } from './client.ts';
import { isEmpty } from './difference.ts';
import { OpenFlowError } from './errors.ts';
import type { FlowChange } from './flow-monitor.ts';

let ovs: TestSwitch;
let client: FlowClient;
let unixctl: Unixctl;
/** What others did, as far as the client was told. */
let foreign: FlowChange[] = [];

/** 10.0.0.1:1000 to 10.0.0.2:2000, with a header checksum that holds. */
const udpPacket = Buffer.from(
  '020000000002020000000001080045000020000000004011' +
    '66cb' +
    '0a0000010a00000203e807d0000c000061626364' +
    '00'.repeat(14),
  'hex',
);
const nothing: FlowTable = { flows: [], meters: [] };
const open = () => FlowClient.open({ socketPath: join(ovs.directory, 'br0.mgmt'), timeoutMs: 5_000 });
const ofctl = (command: string, ...args: string[]) =>
  ovs.exec(['ovs-ofctl', '-O', 'OpenFlow14', '--no-names', command, join(ovs.directory, 'br0.mgmt'), ...args]);

function flow(priority: number, actions: Flow['actions'] = [], more: Partial<Flow> = {}): Flow {
  return { table: 0, priority, cookie: 0n, match: {}, actions, ...more };
}

/** Lines of `ovs-ofctl dump-flows` without counters, sorted. */
async function listed(): Promise<string[]> {
  const lines = (await ofctl('dump-flows')).split('\n').filter((line) => line.includes('cookie='));
  return lines.map(withoutCounters).sort();
}

function withoutCounters(line: string): string {
  const noise = / duration=\S+| n_packets=\d+,| n_bytes=\d+,| (idle|hard)_age=\d+,/g;
  return line.trim().replaceAll(noise, '').replaceAll(', ', ',').replace('cookie=0x0,', '');
}

async function until(check: () => boolean | Promise<boolean>, what: string, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `within ${withinMs} ms: ${what}`);
    await delay(5);
  }
}

before(async () => {
  ovs = await TestSwitch.start();
  unixctl = new Unixctl({ runDirectory: ovs.directory });
  const bridge = ['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail_mode=secure'];
  await ovs.vsctl(
    ...bridge,
    '--',
    'add-port',
    'br0',
    'p1',
    '--',
    'set',
    'interface',
    'p1',
    'type=patch',
    'options:peer=p2',
  );
  await ofctl('add-group', `group_id=${groupOfEveryFlow},type=all,bucket=output:1`);
});
after(() => ovs.stop());

beforeEach(async () => {
  client = await open();
  await client.replace(nothing);
  foreign = [];
  client.on('changed', (changes) => foreign.push(...changes));
});
afterEach(() => client.close());

test('every field and action arrives and reads the same in ovs-ofctl', async () => {
  const wanted = { flows: everyFlow, meters: [meterOfEveryFlow] };
  await client.replace(wanted);
  assert.deepEqual(await listed(), everyFlow.map(formatFlow).sort());
  const again = await client.replace(wanted);
  assert.ok(isEmpty(again), `what is listed is what was sent: ${again.put.map(formatFlow).join('\n')}`);
  const file = join(ovs.directory, 'flows.txt');
  await writeFile(file, everyFlow.map(formatFlow).join('\n'));
  await ovs.exec(['ovs-ofctl', '-O', 'OpenFlow14', 'parse-flows', file]);
});

test('only what differs is changed, and counters go on', async () => {
  const data = Buffer.alloc(60);
  await client.replace({ flows: [flow(1), flow(2, [{ do: 'resubmit', table: 1 }], { cookie: 7n })], meters: [] });
  await client.packetOut({ actions: [{ do: 'resubmit', table: 0 }], data });
  const change = await client.replace({ flows: [flow(2, [{ do: 'resubmit', table: 2 }], { cookie: 7n })], meters: [] });
  assert.deepEqual([change.put.length, change.remove.length], [1, 1]);
  assert.deepEqual(await listed(), ['cookie=0x7,table=0,priority=2 actions=resubmit(,2)']);
  assert.deepEqual((await client.counters({ cookie: 7n })).get(7n), { flowCount: 1, packetCount: 1n, byteCount: 60n });
});

test('a bundle with one bad flow changes nothing and says which flow it was', async () => {
  await client.replace({ flows: [flow(1)], meters: [] });
  const refusal = async (bad: Flow, symbol: string, words: RegExp) => {
    const change = client.replace({ flows: [flow(2), bad, flow(4)], meters: [] });
    const error = await change.catch((reason: unknown) => reason);
    assert.ok(error instanceof OpenFlowError && error.refusal?.symbol === symbol, `${error}`);
    assert.match(error.message, words);
    assert.deepEqual(await listed(), ['table=0,priority=1 actions=drop']);
  };
  // The switch refuses the one as soon as it sees it, the other when all are to take effect.
  const setsTagOfNone = flow(3, [{ do: 'set', to: 'vlan_vid', value: 0x1001n }]);
  await refusal(setsTagOfNone, 'OFPBAC_MATCH_INCONSISTENT', /priority=3 actions=set_field:4097->vlan_vid/);
  const toNoGroup = flow(3, [{ do: 'group', groupId: 99 }]);
  await refusal(toNoGroup, 'OFPBAC_BAD_OUT_GROUP', /table=0,priority=3 actions=group:99/);
  await client.replace({ flows: [flow(5)], meters: [] });
  assert.deepEqual(await listed(), ['table=0,priority=5 actions=drop'], 'the next change works');
});

test('a flow that makes no sense is named and nothing is sent', async () => {
  await client.replace({ flows: [flow(1)], meters: [] });
  const senseless = flow(7, [], { match: { tcp_dst: { value: 80n } } });
  const wanted = { flows: [flow(2), senseless], meters: [meterOfEveryFlow] };
  const words = /tcp_dst needs a match on eth_type of IP and ip_proto 6, in table=0,priority=7,tp_dst=80 actions=drop/;
  await assert.rejects(client.replace(wanted), words);
  await assert.rejects(
    client.replace({ ...wanted, flows: [flow(7, [{ do: 'dec-ttl' }])] }),
    /dec-ttl needs .*, in table=0,priority=7/,
  );
  assert.deepEqual(await listed(), ['table=0,priority=1 actions=drop']);
  assert.deepEqual(await client.meters(), []);
});

test('meters come before the flows that use them and go after', async () => {
  const meter: Meter = { meterId: 1, rateKbps: 1000, burstKb: 100 };
  const metered = flow(1, [
    { do: 'meter', meterId: 1 },
    { do: 'output', port: 1 },
  ]);
  await client.replace({ flows: [metered], meters: [meter] });
  await client.replace({ flows: [metered], meters: [{ ...meter, rateKbps: 2000 }] });
  assert.match(await ofctl('dump-meters'), /meter=1 kbps burst bands=\s+type=drop rate=2000 burst_size=100/);
  assert.deepEqual(await listed(), ['table=0,priority=1 actions=meter:1,output:1']);
  await client.replace({ flows: [flow(1, [{ do: 'output', port: 1 }])], meters: [] });
  assert.deepEqual(await listed(), ['table=0,priority=1 actions=output:1']);
  assert.deepEqual(await client.meters(), []);
  await assert.rejects(
    client.replace({ flows: [metered], meters: [] }),
    /priority=1 actions=meter:1,output:1: OFPMMFC_INVALID_METER/,
  );
});

test('6,000 flows go in one bundle, and come back when somebody deletes them', async () => {
  const flows = Array.from({ length: 6_000 }, (_, n) =>
    flow(
      100,
      [
        { do: 'set', to: 'reg1', value: BigInt(n) },
        { do: 'resubmit', table: 40 },
      ],
      {
        table: 10,
        match: { eth_type: { value: 0x800n }, ipv4_dst: { value: BigInt(n) }, reg0: { value: BigInt(n % 7) } },
      },
    ),
  );
  await client.replace({ flows, meters: [] });
  assert.equal((await client.flows()).length, 6_000);
  assert.ok(isEmpty(await client.replace({ flows, meters: [] })));
  assert.equal(foreign.length, 0, 'none of that is taken for the work of others');
  await ofctl('del-flows');
  await until(() => foreign.length > 0, 'the loss is noticed', 2_000);
  await client.replace({ flows, meters: [] });
  assert.equal((await client.flows()).length, 6_000);
});

test('what others do is noticed at once and can be put right', async () => {
  const wanted = { flows: [flow(1), flow(2, [], { cookie: 5n, match: { reg3: { value: 9n } } })], meters: [] };
  await client.replace(wanted);
  const noticed = async (what: string, act: () => Promise<unknown>, expected: FlowChange[]) => {
    foreign = [];
    await act();
    await until(() => foreign.length >= expected.length, what, 2_000);
    assert.deepEqual(foreign, expected);
    await client.replace(wanted);
    assert.deepEqual(await listed(), wanted.flows.map(formatFlow).sort());
  };
  const place = { table: 0, priority: 2, cookie: 5n, match: { reg3: { value: 9n } } };
  await noticed('a deletion', () => ofctl('del-flows', 'reg3=9'), [{ change: 'removed', ...place }]);
  await noticed('a change', () => ofctl('mod-flows', 'reg3=9,actions=NORMAL'), [{ change: 'modified', ...place }]);
  const added = { change: 'added' as const, table: 3, priority: 7, cookie: 0n, match: {} };
  await noticed('a flow that is not ours', () => ofctl('add-flow', 'table=3,priority=7,actions=drop'), [added]);
});

test('a meter that somebody deletes takes its flow along, and both come back', async () => {
  const meter: Meter = { meterId: 3, rateKbps: 1000, burstKb: 100 };
  const wanted = { flows: [flow(1, [{ do: 'meter', meterId: 3 }])], meters: [meter] };
  await client.replace(wanted);
  await ofctl('del-meters');
  await until(() => foreign.length === 1, 'the lost flow is noticed', 2_000);
  await client.replace(wanted);
  assert.deepEqual(await client.meters(), [{ meterId: 3, meter }]);
  assert.deepEqual(await listed(), ['table=0,priority=1 actions=meter:3']);
});

test('changes by another client of ours are those of others', async (context) => {
  const other = await open();
  context.after(() => other.close());
  await other.replace({ flows: [flow(1)], meters: [] });
  await until(() => foreign.length === 1, 'the other client is noticed', 2_000);
});

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

test('ports have numbers, and their coming and going is told', async () => {
  const known = await client.ports();
  assert.deepEqual(known.map((port) => port.name).sort(), ['br0', 'p1']);
  assert.equal(known.find((port) => port.name === 'p1')?.number, 1);
  const added = once(client, 'port', { signal: AbortSignal.timeout(5_000) });
  await ovs.vsctl(
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
  await ovs.vsctl('del-port', 'p9');
  assert.equal((await removed)[0].change, 'removed');
});

test('changes that are asked for together happen one after the other', async () => {
  const tables = [1, 2, 3, 4].map((priority) => ({ flows: [flow(priority)], meters: [] }));
  await Promise.all(tables.map((table) => client.replace(table)));
  assert.deepEqual(await listed(), ['table=0,priority=4 actions=drop']);
});

test('after a killed ovs-vswitchd the owner hears of it and can start again', async () => {
  await client.replace({ flows: [flow(1)], meters: [] });
  const closed = once(client, 'closed', { signal: AbortSignal.timeout(5_000) });
  const open6 = client.flows().then(
    () => null,
    (error: unknown) => error,
  );
  await ovs.stopSwitch();
  await closed;
  await open6;
  await assert.rejects(client.flows(), { kind: 'not connected' });
  ovs.startSwitch();
  await until(async () => {
    client = await open().catch(() => client);
    return client.flows().then(
      () => true,
      () => false,
    );
  }, 'the switch is back');
  await client.replace({ flows: [flow(1)], meters: [] });
  assert.deepEqual(await listed(), ['table=0,priority=1 actions=drop']);
});
