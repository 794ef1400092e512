import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostToWaitFor } from './host-to-wait-for.ts';
import { asleep, change, request, world } from './testing/model.ts';

const full = [
  { on: 0, memoryMib: 900 },
  { on: 2, memoryMib: 600 },
];
const name = (...given: Parameters<typeof hostToWaitFor>) => hostToWaitFor(...given)?.placement.name;

test('a sleeping host with room is waited for, one on its way back first', () => {
  const two = asleep(world(4, full), 'h1', 'h3');
  assert.equal(name(two, request('new', 800)), 'h1');
  assert.equal(name(change(two, 'h3', { power: 'waking' }), request('new', 800)), 'h3');
});

test('none is waited for without room, when another host is asked for, or when it failed, is out or may not take VMs', () => {
  const one = asleep(world(3, full), 'h1');
  assert.equal(name(one, request('new', 1100)), undefined);
  assert.equal(name(one, { ...request('new', 100), hostId: 'h0' }), undefined);
  assert.equal(name(one, { ...request('new', 100), hostId: 'h1' }), 'h1');
  assert.equal(name(one, { ...request('new', 100), excludeHostIds: ['h1'] }), undefined);
  assert.equal(
    name(one, request('new', 100), () => false),
    undefined,
  );
  for (const power of ['failed', 'out', 'entering', 'on'] as const)
    assert.equal(name(change(one, 'h1', { power }), request('new', 100)), undefined, power);
});

test('what waits for a host takes its room', () => {
  const waiting = { id: 'first', projectId: 'p', cpus: 1, memoryMib: 700, affinity: [], antiAffinity: [] };
  const one = asleep(world(2, []), 'h1');
  const { placement } = one.hosts[1]!;
  const taken = change(one, 'h1', { power: 'waking', placement: { ...placement, vms: [waiting] } });
  assert.equal(name(taken, request('new', 300)), 'h1');
  assert.equal(name(taken, request('new', 301)), undefined);
});
