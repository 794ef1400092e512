import assert from 'node:assert/strict';
import { it } from 'node:test';
import { movesAtOnce, movesAway, settledAfterMs, type UnlinkedHost, type VmThere } from './network-loss.ts';

const now = 100_000;
const host = (change: Partial<UnlinkedHost> = {}): UnlinkedHost => ({
  ...{ hostId: 'h1', sinceMs: now - settledAfterMs, because: 'the uplink vm0 is down' },
  policy: { enabled: true, networkLost: 'restart' },
  ...change,
});
const vm = (name: string, change: Partial<VmThere> = {}): VmThere => ({
  ...{ id: name, name, hostId: 'h1', running: true, hasNics: true, busy: false, notBeforeMs: 0 },
  ha: { enabled: true, priority: 'medium' },
  ...change,
});
const moved = (hosts: readonly UnlinkedHost[], vms: readonly VmThere[]) =>
  movesAway(hosts, vms, now).map(({ vmId }) => vmId);

it('those that run on it with a NIC leave it, by priority, and say why', () => {
  const low = vm('a', { ha: { enabled: true, priority: 'low' } });
  const high = vm('z', { ha: { enabled: true, priority: 'high' } });
  const vms = [low, vm('c'), vm('b'), high, vm('other', { hostId: 'h2' })];
  assert.deepEqual(moved([host()], vms), ['z', 'b', 'c', 'a']);
  assert.equal(movesAway([host()], vms, now)[0]?.because, 'the uplink vm0 is down');
});

it('nobody leaves when the cluster leaves them, high availability is off, or the cable may be back in a moment', () => {
  assert.deepEqual(moved([host({ policy: { enabled: true, networkLost: 'leave' } })], [vm('a')]), []);
  assert.deepEqual(moved([host({ policy: { enabled: false, networkLost: 'restart' } })], [vm('a')]), []);
  assert.deepEqual(moved([host({ sinceMs: now - settledAfterMs + 1 })], [vm('a')]), []);
});

it('what rests, has no NIC, wants no restarts or just failed to move stays', () => {
  const staying = [
    vm('a', { running: false }),
    vm('b', { hasNics: false }),
    vm('c', { ha: { enabled: false, priority: 'high' } }),
    vm('d', { notBeforeMs: now + 1 }),
  ];
  assert.deepEqual(moved([host()], staying), []);
});

it('a few move at once, those that are busy already among them', () => {
  const many = Array.from({ length: movesAtOnce + 2 }, (_, index) => vm(`v${index}`));
  assert.equal(moved([host()], many).length, movesAtOnce);
  assert.equal(moved([host()], [vm('busy', { busy: true }), ...many]).length, movesAtOnce - 1);
});
