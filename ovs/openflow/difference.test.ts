import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flow, Meter } from '../flow.ts';
import { difference, type InstalledTable, isEmpty } from './difference.ts';
import { encodeInstructions, flowKey, type InstalledFlow } from './flow-codec.ts';
import { encodeMatch } from './match-codec.ts';

function flow(priority: number, more: Partial<Flow> = {}): Flow {
  return {
    table: 0,
    priority,
    cookie: 1n,
    match: { reg0: { value: 1n } },
    actions: [{ do: 'output', port: 1 }],
    ...more,
  };
}

function installed(from: Flow, more: Partial<InstalledFlow> = {}): InstalledFlow {
  return {
    ...from,
    packetCount: 5n,
    byteCount: 500n,
    options: '0000000000000000',
    matchBytes: encodeMatch(from.match),
    instructionBytes: encodeInstructions(from),
    key: flowKey(from),
    ...more,
  };
}

const holds = (...flows: readonly InstalledFlow[]): InstalledTable => ({ flows, meters: [] });
const wants = (...flows: readonly Flow[]) => ({ flows, meters: [] });

test('what is as wanted stays untouched', () => {
  assert.ok(isEmpty(difference(holds(installed(flow(1)), installed(flow(2))), wants(flow(2), flow(1)))));
});

test('new flows are put, lost ones put back, unknown ones removed', () => {
  const stranger = installed(flow(9));
  const change = difference(holds(installed(flow(1)), stranger), wants(flow(1), flow(2)));
  assert.deepEqual([change.put, change.remove], [[flow(2)], [stranger]]);
});

test('each part of the content counts', () => {
  const differs = (present: InstalledFlow) => difference(holds(present), wants(flow(1))).put.length === 1;
  assert.ok(differs(installed(flow(1, { cookie: 2n }))), 'cookie');
  assert.ok(differs(installed(flow(1, { actions: [] }))), 'actions');
  assert.ok(differs(installed(flow(1), { options: '0005000000000000' })), 'timeouts and flags');
  assert.ok(!differs(installed(flow(1), { packetCount: 7n })), 'counters are not content');
});

test('two wanted flows in one place are an error of whoever wants them', () => {
  assert.throws(
    () => difference(holds(), wants(flow(1), flow(1, { actions: [] }))),
    /two flows in the same place: .*priority=1/,
  );
});

test('meters are added, changed and removed by number', () => {
  const meter = (meterId: number, rateKbps = 100): Meter => ({ meterId, rateKbps, burstKb: 10 });
  const present = [meter(1), meter(2), meter(3)].map((one) => ({ meterId: one.meterId, meter: one }));
  const foreign = { meterId: 4, meter: null };
  const wanted = { flows: [], meters: [meter(1), meter(2, 200), meter(4), meter(5)] };
  const change = difference({ flows: [], meters: [...present, foreign] }, wanted);
  assert.deepEqual(change.addMeters, [meter(5)]);
  assert.deepEqual(change.changeMeters, [meter(2, 200), meter(4)]);
  assert.deepEqual(change.removeMeters, [3]);
  assert.throws(() => difference(holds(), { flows: [], meters: [meter(1), meter(1)] }), /two meters have the number 1/);
});
