/** The flows of a real switch: what is sent is there, all or nothing, and others' hands are noticed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Flow, FlowTable, Meter } from '../flow.ts';
import { formatFlow } from '../format-flow.ts';
import { flow, TestBridge } from '../testing/bridge.ts';
import { everyFlow, groupOfEveryFlow, meterOfEveryFlow } from '../testing/every-flow.ts';
import type { FlowClient } from './client.ts';
import { isEmpty } from './difference.ts';
import { OpenFlowError } from './errors.ts';
import type { FlowChange } from './flow-monitor.ts';

let bridge: TestBridge;
let client: FlowClient;
/** What others did, as far as the client was told. */
let foreign: FlowChange[] = [];

const nothing: FlowTable = { flows: [], meters: [] };

async function until(check: () => boolean | Promise<boolean>, what: string, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `within ${withinMs} ms: ${what}`);
    await delay(5);
  }
}

before(async () => {
  bridge = await TestBridge.start();
  await bridge.ofctl('add-group', `group_id=${groupOfEveryFlow},type=all,bucket=output:1`);
});
after(() => bridge.stop());

beforeEach(async () => {
  client = await bridge.open();
  await client.replace(nothing);
  foreign = [];
  client.on('changed', (changes) => foreign.push(...changes));
});
afterEach(() => client.close());

test('every field and action arrives and reads the same in ovs-ofctl', async () => {
  const wanted = { flows: everyFlow, meters: [meterOfEveryFlow] };
  await client.replace(wanted);
  assert.deepEqual(await bridge.listed(), everyFlow.map(formatFlow).sort());
  const again = await client.replace(wanted);
  assert.ok(isEmpty(again), `what is listed is what was sent: ${again.put.map(formatFlow).join('\n')}`);
  const file = join(bridge.ovs.directory, 'flows.txt');
  await writeFile(file, everyFlow.map(formatFlow).join('\n'));
  await bridge.ovs.exec(['ovs-ofctl', '-O', 'OpenFlow14', 'parse-flows', file]);
});

test('only what differs is changed, and counters go on', async () => {
  const data = Buffer.alloc(60);
  await client.replace({ flows: [flow(1), flow(2, [{ do: 'resubmit', table: 1 }], { cookie: 7n })], meters: [] });
  await client.packetOut({ actions: [{ do: 'resubmit', table: 0 }], data });
  const change = await client.replace({ flows: [flow(2, [{ do: 'resubmit', table: 2 }], { cookie: 7n })], meters: [] });
  assert.deepEqual([change.put.length, change.remove.length], [1, 1]);
  assert.deepEqual(await bridge.listed(), ['cookie=0x7,table=0,priority=2 actions=resubmit(,2)']);
  assert.deepEqual((await client.counters({ cookie: 7n })).get(7n), { flowCount: 1, packetCount: 1n, byteCount: 60n });
});

test('a bundle with one bad flow changes nothing and says which flow it was', async () => {
  await client.replace({ flows: [flow(1)], meters: [] });
  const refusal = async (bad: Flow, symbol: string, words: RegExp) => {
    const change = client.replace({ flows: [flow(2), bad, flow(4)], meters: [] });
    const error = await change.catch((reason: unknown) => reason);
    assert.ok(error instanceof OpenFlowError && error.refusal?.symbol === symbol, String(error));
    assert.match(error.message, words);
    assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=drop']);
  };
  // The switch refuses the one as soon as it sees it, the other when all are to take effect.
  const setsTagOfNone = flow(3, [{ do: 'set', to: 'vlan_vid', value: 0x1001n }]);
  await refusal(setsTagOfNone, 'OFPBAC_MATCH_INCONSISTENT', /priority=3 actions=set_field:4097->vlan_vid/);
  const toNoGroup = flow(3, [{ do: 'group', groupId: 99 }]);
  await refusal(toNoGroup, 'OFPBAC_BAD_OUT_GROUP', /table=0,priority=3 actions=group:99/);
  await client.replace({ flows: [flow(5)], meters: [] });
  assert.deepEqual(await bridge.listed(), ['table=0,priority=5 actions=drop'], 'the next change works');
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
  assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=drop']);
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
  assert.match(await bridge.ofctl('dump-meters'), /meter=1 kbps burst bands=\s+type=drop rate=2000 burst_size=100/);
  assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=meter:1,output:1']);
  await client.replace({ flows: [flow(1, [{ do: 'output', port: 1 }])], meters: [] });
  assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=output:1']);
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
  await bridge.ofctl('del-flows');
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
    assert.deepEqual(await bridge.listed(), wanted.flows.map(formatFlow).sort());
  };
  const place = { table: 0, priority: 2, cookie: 5n, match: { reg3: { value: 9n } } };
  await noticed('a deletion', () => bridge.ofctl('del-flows', 'reg3=9'), [{ change: 'removed', ...place }]);
  await noticed('a change', () => bridge.ofctl('mod-flows', 'reg3=9,actions=NORMAL'), [
    { change: 'modified', ...place },
  ]);
  const added = { change: 'added' as const, table: 3, priority: 7, cookie: 0n, match: {} };
  await noticed('a flow that is not ours', () => bridge.ofctl('add-flow', 'table=3,priority=7,actions=drop'), [added]);
});

test('a meter that somebody deletes takes its flow along, and both come back', async () => {
  const meter: Meter = { meterId: 3, rateKbps: 1000, burstKb: 100 };
  const wanted = { flows: [flow(1, [{ do: 'meter', meterId: 3 }])], meters: [meter] };
  await client.replace(wanted);
  await bridge.ofctl('del-meters');
  await until(() => foreign.length === 1, 'the lost flow is noticed', 2_000);
  await client.replace(wanted);
  assert.deepEqual(await client.meters(), [{ meterId: 3, meter }]);
  assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=meter:3']);
});

test('changes by another client of ours are those of others', async (context) => {
  const other = await bridge.open();
  context.after(() => other.close());
  await other.replace({ flows: [flow(1)], meters: [] });
  await until(() => foreign.length === 1, 'the other client is noticed', 2_000);
});

test('changes that are asked for together happen one after the other', async () => {
  const tables = [1, 2, 3, 4].map((priority) => ({ flows: [flow(priority)], meters: [] }));
  await Promise.all(tables.map((table) => client.replace(table)));
  assert.deepEqual(await bridge.listed(), ['table=0,priority=4 actions=drop']);
});

test('after a killed ovs-vswitchd the owner hears of it and can start again', async () => {
  await client.replace({ flows: [flow(1)], meters: [] });
  const closed = once(client, 'closed', { signal: AbortSignal.timeout(5_000) });
  const open6 = client.flows().then(
    () => null,
    (error: unknown) => error,
  );
  await bridge.ovs.stopSwitch();
  await closed;
  await open6;
  await assert.rejects(client.flows(), { kind: 'not connected' });
  bridge.ovs.startSwitch();
  await until(async () => {
    client = await bridge.open().catch(() => client);
    return client.flows().then(
      () => true,
      () => false,
    );
  }, 'the switch is back');
  await client.replace({ flows: [flow(1)], meters: [] });
  assert.deepEqual(await bridge.listed(), ['table=0,priority=1 actions=drop']);
});
