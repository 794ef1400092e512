import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocateNumbers, noNumbers, portKey, profileKey, releasedZones } from './numbers.ts';
import { network, port, router, slice } from './testing/slices.ts';

test('what stays keeps its number, what is new gets a free one, ports and routers never the same', () => {
  const before = allocateNumbers(noNumbers, slice({ ports: [port('b'), port('a')], routers: [router()] }));
  assert.deepEqual([before.ports, before.routers], [{ a: 1, b: 2 }, { router: 3 }]);
  const after = allocateNumbers(before, slice({ ports: [port('b'), port('0')], routers: [router()] }));
  assert.deepEqual(after.ports, { 0: 4, b: 2 }, 'the number of a is not given away at once');
  assert.deepEqual(releasedZones(before, after), [1]);
  const later = allocateNumbers(after, slice({ ports: [port('b'), port('0'), port('c')], routers: [router()] }));
  assert.deepEqual(later.ports, { 0: 4, b: 2, c: 1 });
});

test('the order of the slice makes no difference', () => {
  const networks = [network('x'), network('y')];
  const ports = [port('a', { filtered: true, securityGroupIds: ['g', 'h'] }), port('b', { filtered: true })];
  const one = allocateNumbers(noNumbers, slice({ networks, ports }));
  const other = allocateNumbers(noNumbers, slice({ networks: networks.toReversed(), ports: ports.toReversed() }));
  assert.deepEqual(one, other);
});

test('keys: a trunk has one for each guest VLAN, groups count as a set', () => {
  assert.equal(portKey(port('a')), 'a');
  assert.equal(portKey(port('a', { guestVlan: 7 })), 'a/7');
  assert.equal(profileKey(port('a', { securityGroupIds: ['b', 'a', 'b'] })), 'a+b');
});

test('hardware ports need none, and a host has an end', () => {
  assert.deepEqual(allocateNumbers(noNumbers, slice({ ports: [port('a', { hardware: true })] })).ports, {});
  const ports = Array.from({ length: 65_536 }, (_, n) => port(`nic${n}`));
  assert.throws(() => allocateNumbers(noNumbers, slice({ ports })), RangeError);
});
