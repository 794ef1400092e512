import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decide } from './decide.ts';
import { kinds, stateOf } from './testing/decisions.ts';
import { cluster, dead, incident, type Look, now, offProof, proven, restart, verified, vm } from './testing/facts.ts';

describe('a host', () => {
  it('that is well leads to nothing', () => {
    assert.deepEqual(decide(cluster({ h1: {}, h2: {}, h3: {} }), now), []);
  });

  it('whose agent is silent for a moment is suspect', () => {
    assert.equal(
      stateOf(cluster({ h1: { silentMs: 1800, leaseMs: 1700, peersMs: 1700 }, h2: {}, h3: {} }), 'h1'),
      'suspect',
    );
  });

  it('that is silent on every path is dead', () => {
    assert.equal(stateOf(cluster({ h1: dead, h2: {}, h3: {} }), 'h1'), 'dead');
  });

  it('that only peers miss is dead only after longer', () => {
    const look = { silentMs: 3000, peersMs: 3000 };
    assert.equal(stateOf(cluster({ h1: look, h2: {}, h3: {} }, { leases: false }), 'h1'), 'suspect');
    const long = { silentMs: 11_000, peersMs: 11_000 };
    assert.equal(stateOf(cluster({ h1: long, h2: {}, h3: {} }, { leases: false }), 'h1'), 'dead');
  });

  it('of which nobody else can tell is suspect for ever', () => {
    const look = { silentMs: 400_000 };
    assert.equal(stateOf(cluster({ h1: look, h2: {}, h3: {} }, { leases: false, peers: false }), 'h1'), 'suspect');
  });

  it('that cannot renew its lease has lost its storage; one that is slow has not', () => {
    assert.equal(stateOf(cluster({ h1: { ownMs: 7000 }, h2: {}, h3: {} }), 'h1'), 'storage-lost');
    assert.equal(stateOf(cluster({ h1: { ownMs: null, ownError: 'EIO' }, h2: {}, h3: {} }), 'h1'), 'storage-lost');
    assert.equal(stateOf(cluster({ h1: { ownMs: 4000 }, h2: {}, h3: {} }), 'h1'), undefined);
    assert.equal(stateOf(cluster({ h1: { ownMs: 400, ownLost: true }, h2: {}, h3: {} }), 'h1'), 'storage-lost');
    // It has booted a moment ago.
    assert.equal(stateOf(cluster({ h1: { ownMs: null, ownLost: true }, h2: {}, h3: {} }), 'h1'), undefined);
  });

  it('whose uplink is down has lost its network', () => {
    assert.equal(stateOf(cluster({ h1: { uplink: false }, h2: {}, h3: {} }), 'h1'), 'network-lost');
  });

  it('whose hypervisor does not answer has lost that, and is left as it is', () => {
    const silent = { hypervisorSilentMs: 20_000 };
    const [first, second] = [{ ha: { state: 'running', because: null, sinceMs: 0 } }, { incident }] as const;
    const alone = cluster({ h1: silent, h2: {}, h3: {} }, { hosts: { h1: first }, vms: [vm('a')] });
    assert.deepEqual(kinds(decide(alone, now)), ['set-state', 'open-incident']);
    assert.equal(stateOf(alone, 'h1'), 'hypervisor-lost');
    const ha = { state: 'hypervisor-lost', because: 'x', sinceMs: now - 600_000 } as const;
    const long = cluster({ h1: silent, h2: {}, h3: {} }, { hosts: { h1: { ...second, ha } }, vms: [vm('a')] });
    assert.deepEqual(kinds(decide(long, now)), ['alarm']);
    // Its VMs there have ended: that says more.
    const both = cluster({ h1: { ...silent, ownMs: 7000 }, h2: {}, h3: {} });
    assert.equal(stateOf(both, 'h1'), 'storage-lost');
  });

  it('that lost a storage is told of with the name of the pool', () => {
    const [first] = decide(cluster({ h1: { ownMs: 7000, ownError: 'EIO' }, h2: {}, h3: {} }), now);
    assert.ok(first?.kind === 'set-state');
    assert.equal(first.because, 'it cannot renew its lease in the pool Gold: EIO');
  });

  it('is as it told the last manager until it has told this one', () => {
    const manager = { leadingSinceMs: now - 1000 };
    for (const state of ['storage-lost', 'network-lost', 'hypervisor-lost'] as const) {
      const h1 = { ha: { state, because: 'x', sinceMs: 0 }, liveness: null, incident };
      const just = cluster({ h1: {}, h2: {}, h3: {} }, { hosts: { h1 }, manager });
      assert.equal(stateOf(just, 'h1'), undefined, state);
      const later = cluster({ h1: {}, h2: {}, h3: {} }, { hosts: { h1 } });
      assert.equal(stateOf(later, 'h1'), 'running');
    }
  });

  it('that speaks of another boot is noted', () => {
    const hosts = { h1: { bootId: 'boot-before' } };
    const [action] = decide(cluster({ h1: {}, h2: {}, h3: {} }, { hosts }), now);
    assert.deepEqual(action?.kind === 'note-boot' && action.bootId, 'boot-h1');
  });

  it('in standby is neither an incident nor a silent host that counts, and is not fenced whatever is seen of it', () => {
    const gone = { silentMs: 60_000, leaseMs: 60_000, peersMs: 60_000 };
    const hosts = { h1: { ha: { state: 'standby', because: 'x', sinceMs: 0 } } } as const;
    const devices = { h1: { ...hosts.h1, fenceDevices: [{ id: 'd1', kind: 'ipmi', ...verified }] } } as const;
    assert.deepEqual(decide(cluster({ h1: gone, h2: {} }, { hosts: devices }), now), []);
    assert.deepEqual(decide(cluster({ h1: {}, h2: {} }, { hosts }), now), []);
    // Of two that are left one is lost: that is no half of all that should be heard.
    const two = cluster({ h1: gone, h2: gone, h3: {}, h4: {} }, { hosts });
    assert.ok(decide(two, now).every(({ kind }) => kind !== 'suspect-self'));
  });

  it('in standby or maintenance, and still heard, says that the manager is not cut off', () => {
    const doubts = (h1: Look): boolean => {
      const hosts = { h1: { ha: { state: 'standby', because: 'x', sinceMs: 0 } } } as const;
      const world = cluster({ h1, h2: dead, h3: dead, h4: {}, h5: {} }, { hosts });
      return decide(world, now).some(({ kind }) => kind === 'suspect-self');
    };
    assert.equal(doubts({}), false);
    assert.equal(doubts({ silentMs: 60_000 }), true);
  });

  it('in maintenance stays so, whatever is seen of it', () => {
    const hosts = { h1: { ha: { state: 'maintenance', because: 'x', sinceMs: 0 } } } as const;
    assert.deepEqual(decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts }), now), []);
  });

  it('that is well again closes its incident', () => {
    const hosts = { h1: { ha: { state: 'dead', because: 'x', sinceMs: now - 100 }, incident } } as const;
    assert.deepEqual(kinds(decide(cluster({ h1: {}, h2: {}, h3: {} }, { hosts }), now)), [
      'set-state',
      'close-incident',
    ]);
  });

  it('that is heard after it was proven dead was not dead', () => {
    const hosts = {
      h1: { ...proven.h1, proof: { id: 'proof', proof: { ...offProof('h1').proof, atMs: now - 5000 } } },
    };
    const actions = decide(
      cluster({ h1: {}, h2: {}, h3: {} }, { hosts, vms: [vm('a', { restart: restart('waiting') })] }),
      now,
    );
    assert.ok(kinds(actions).includes('end-proof'));
    assert.ok(!kinds(actions).includes('place'));
  });
});
