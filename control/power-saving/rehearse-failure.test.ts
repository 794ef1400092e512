import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FailureInThought, placesAfterWaking, wokenInDoubt } from './rehearse-failure.ts';
import { asleep, change, policy, request, world } from './testing/model.ts';

const now = 1_000_000;
const full = [
  { on: 0, memoryMib: 900 },
  { on: 1, memoryMib: 600 },
];
const vm = (name: string, memoryMib: number, hostId: string | null = null) => ({
  name,
  request: request(name, memoryMib),
  hostId,
});
const failure = (...vms: FailureInThought['vms']): FailureInThought => ({ hostId: 'h0', inDoubt: false, vms });
const places = (...given: Parameters<typeof placesAfterWaking>) =>
  [...placesAfterWaking(...given)].map(([id, { hostId }]) => `${id} on ${hostId}`);

test('hosts are woken for the VMs of a dead host that no other takes, in every mode, and say why', () => {
  const sleeping = asleep(world(4, full), 'h2', 'h3');
  for (const mode of ['off', 'suggested', 'automatic'] as const)
    assert.deepEqual(places(sleeping, { ...policy, mode }, failure(vm('v0', 900)), now), ['v0 on h2']);
  const [[, place]] = [...placesAfterWaking(sleeping, policy, failure(vm('v0', 900)), now)] as [[string, object]];
  assert.deepEqual(place, {
    hostId: 'h2',
    because: 'no host that is on takes v0 (its host failed): h2 is woken',
  });
  assert.deepEqual(places(sleeping, policy, failure(vm('a', 900), vm('b', 900), vm('c', 900)), now), [
    'a on h2',
    'b on h3',
  ]);
});

test('what hosts that are awake take leaves room in the sleeping ones, but none in themselves', () => {
  const sleeping = asleep(world(3, [full[0]!]), 'h2');
  assert.deepEqual(places(sleeping, policy, failure(vm('a', 900, 'h1'), vm('b', 800), vm('c', 200)), now), [
    'b on h2',
    'c on h2',
  ]);
});

test('a host that is on its way back is used, one that failed to come up lately is not, nor the dead host', () => {
  const sleeping = asleep(world(4, full), 'h2', 'h3');
  const waking = change(sleeping, 'h3', { power: 'waking' });
  assert.deepEqual(places(waking, policy, failure(vm('a', 900)), now), ['a on h3']);
  const failed = change(change(sleeping, 'h3', { power: 'failed', notBeforeMs: now + 1 }), 'h2', { power: 'out' });
  assert.deepEqual(places(failed, policy, failure(vm('a', 900)), now), []);
  assert.deepEqual(places(world(2, full), policy, failure(vm('a', 100)), now), []);
});

test('VMs that wait for room already come first', () => {
  const sleeping = asleep(world(3, full), 'h2');
  const waiting = { name: 'w', request: request('w', 500), afterFailure: true };
  const found = placesAfterWaking({ ...sleeping, wanting: [waiting] }, policy, failure(vm('a', 600)), now);
  assert.equal(found.get('a'), undefined);
});

test('a manager in doubt wakes all hosts that sleep before any VM is placed', () => {
  const sleeping = asleep(world(4, full), 'h2', 'h3');
  assert.deepEqual(wokenInDoubt(sleeping, { ...policy, mode: 'off' }, 'h0', now), ['h2', 'h3']);
  assert.deepEqual(wokenInDoubt(change(sleeping, 'h3', { power: 'waking' }), policy, 'h0', now), ['h3', 'h2']);
  const inDoubt = { ...failure(vm('a', 300, 'h1'), vm('b', 100)), inDoubt: true };
  assert.deepEqual(places(sleeping, policy, inDoubt, now), ['a on h2', 'b on h3']);
});
