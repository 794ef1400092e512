import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decide } from './decide.ts';
import type { HaSnapshot } from './snapshot.ts';
import { kinds, stateOf } from './testing/decisions.ts';
import { cluster, dead, incident, isolated, lost, now, proven, vm } from './testing/facts.ts';

describe('not by mistake:', () => {
  const deeds = (snapshot: HaSnapshot) =>
    kinds(decide(snapshot, now)).filter((kind) => ['power-off', 'record-proof', 'place', 'restart'].includes(kind));

  it('a cut management network leaves VMs alone while the lease is renewed', () => {
    const snapshot = cluster({ h1: isolated, h2: {}, h3: {} }, { vms: [vm('a')] });
    assert.equal(stateOf(snapshot, 'h1'), 'management-isolated');
    const since = { state: 'management-isolated', because: 'x', sinceMs: now - 600_000 } as const;
    const hosts = { h1: { ha: since, incident } };
    assert.deepEqual(deeds(cluster({ h1: isolated, h2: {}, h3: {} }, { vms: [vm('a')], hosts })), []);
    const restarting = { vms: [vm('a')], hosts, policy: { isolation: 'restart' } } as const;
    const long = { ...isolated, silentMs: 600_000 };
    assert.deepEqual(deeds(cluster({ h1: long, h2: {}, h3: {} }, restarting)), ['power-off'], 'the policy decides');
    const recent = { h1: { ha: { ...since, sinceMs: now - 5000 }, incident } };
    assert.deepEqual(deeds(cluster({ h1: isolated, h2: {}, h3: {} }, { ...restarting, hosts: recent })), []);
  });

  it('a manager that has just begun fences nobody', () => {
    const manager = { leadingSinceMs: now - 19_000 };
    assert.deepEqual(decide(cluster({ h1: dead, h2: {}, h3: {} }, { manager }), now), []);
    assert.deepEqual(deeds(cluster({ h1: dead, h2: {}, h3: {} }, { manager, hosts: lost, vms: [vm('a')] })), []);
    const before = { h1: { ...lost.h1, lastHeartbeatMs: null, liveness: null } };
    const unheard = cluster({ h1: dead, h2: {}, h3: {} }, { hosts: before, manager: { leadingSinceMs: now - 21_000 } });
    assert.deepEqual(deeds(unheard), ['power-off'], 'after the grace it does');
  });

  it('a manager that was held up starts to count anew', () => {
    const manager = { heldUpAtMs: now - 300 };
    assert.deepEqual(decide(cluster({ h1: dead, h2: {}, h3: {} }, { manager }), now), []);
  });

  it('half of the hosts lost at once make the manager suspect itself', () => {
    const hosts = { h1: lost.h1, h2: { ...lost.h1 } };
    const looks = { h1: dead, h2: dead, h3: {}, h4: {} };
    const actions = decide(cluster(looks, { hosts, vms: [vm('a')] }), now);
    assert.deepEqual(
      actions.flatMap((action) => (action.kind === 'suspect-self' ? [action.suspects] : [])),
      [true],
    );
    assert.deepEqual(deeds(cluster(looks, { hosts })), []);
    assert.deepEqual(
      deeds(cluster({ ...looks, h5: {} }, { hosts })),
      ['power-off', 'power-off'],
      'two of five are not half',
    );
    assert.deepEqual(
      deeds(cluster(looks, { hosts, policy: { selfSuspicionShare: 0.6 } })).length,
      2,
      'the policy decides',
    );
    assert.deepEqual(deeds(cluster({ h1: dead, h2: {} }, { hosts: lost })), ['power-off'], 'one host is no mass');
    assert.deepEqual(deeds(cluster({ h1: dead, h2: dead }, { hosts })), []);
  });

  it('hosts that were proven dead before do not count as lost at once', () => {
    const hosts = { h1: proven.h1, h2: { ...lost.h1 } };
    assert.deepEqual(deeds(cluster({ h1: dead, h2: dead, h3: {}, h4: {} }, { hosts })), ['power-off']);
  });

  it('a storage that is slow for all leaves all alone', () => {
    const slow = { leaseMs: 30_000, ownMs: 5000 };
    assert.deepEqual(
      decide(cluster({ h1: slow, h2: slow, h3: slow }, { vms: [vm('a', { state: 'running' })] }), now),
      [],
    );
  });

  it('a storage that is lost for all proves nothing of a host that is silent', () => {
    const starved = { leaseMs: 30_000, ownMs: 30_000 };
    const hosts = { h1: { ...lost.h1, fenceDevices: [] } };
    assert.deepEqual(deeds(cluster({ h1: { ...dead, ...starved }, h2: starved, h3: starved }, { hosts })), []);
  });
});
