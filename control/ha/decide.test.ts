import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultVmHa } from '@kvasir/api/resources/ha-policy.ts';
import type { HaAction } from './actions.ts';
import { decide } from './decide.ts';
import { operatorProof, recordedProof } from './fence-proof.ts';
import { leaseObservations } from './signals.ts';
import type { HaSnapshot, HostFacts } from './snapshot.ts';
import { cluster, dead, incident, isolated, now, restart, verified, vm } from './testing/facts.ts';

const kinds = (actions: readonly HaAction[]) => actions.map(({ kind }) => kind);
const stateOf = (snapshot: HaSnapshot, hostId: string) =>
  decide(snapshot, now).flatMap((action) =>
    action.kind === 'set-state' && action.hostId === hostId ? [action.state] : [],
  )[0];
const offProof = (hostId: string) => ({
  id: 'proof',
  proof: recordedProof({ hostId, bootId: null, kind: 'power-off', atMs: now - 500, poolIds: null, because: 'off' }),
});
const lost = { h1: { ha: { state: 'dead', because: 'x', sinceMs: now - 100 }, incident } } as const;
const proven = {
  h1: { ha: { state: 'fenced', because: 'x', sinceMs: now - 100 }, incident, proof: offProof('h1') },
} as const;

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

describe('fencing', () => {
  const proofsBy = (look: object, hosts: Readonly<Record<string, Partial<HostFacts>>> = lost) => {
    const known = { h1: { ...hosts['h1'], fenceDevices: [] } };
    return decide(cluster({ h1: { ...dead, ...look }, h2: {}, h3: {} }, { hosts: known }), now).flatMap((action) =>
      action.kind === 'record-proof' ? [action.proof] : [],
    );
  };
  const fence = (snapshot: HaSnapshot) => decide(snapshot, now).find(({ kind }) => kind === 'power-off');

  it('begins when the incident is open, by the first method that the host has a device for', () => {
    assert.equal(fence(cluster({ h1: dead, h2: {}, h3: {} })), undefined);
    const action = fence(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: lost }));
    assert.equal(action?.kind === 'power-off' && action.deviceId, 'bmc-h1');
    const fenceDevices = [
      { id: 'ipmi', kind: 'ipmi', ...verified },
      { id: 'redfish', kind: 'redfish', ...verified },
    ] as const;
    const hosts = { h1: { ...lost.h1, fenceDevices } };
    const other = fence(cluster({ h1: dead, h2: {}, h3: {} }, { hosts, policy: { fencing: ['redfish', 'ipmi'] } }));
    assert.equal(other?.kind === 'power-off' && other.deviceId, 'redfish');
  });

  it('tells no device that may be wired to another machine, and says so to an operator', () => {
    const untold = (trust: object) => {
      const fenceDevices = [{ id: 'ipmi', kind: 'ipmi', ...verified, ...trust } as const];
      const hosts = { h1: { ...lost.h1, fenceDevices, leasePlan: null } };
      const actions = decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts, policy: { fencing: ['ipmi'] } }), now);
      assert.ok(!kinds(actions).includes('power-off'));
      return actions.flatMap((action) =>
        action.kind === 'alarm' && action.code === 'operator-needed' ? [action.because] : [],
      )[0];
    };
    assert.match(untold({ seenOnAtMs: null }) ?? '', /has never read on while the host was heard/);
    assert.match(untold({ mistrustedBecause: 'it reads off' }) ?? '', /mistrusted: it reads off/);
  });

  it('goes on to the next device when one failed, asks one at a time, and asks again later', () => {
    const fenceDevices = [
      { id: 'one', kind: 'ipmi', ...verified },
      { id: 'two', kind: 'ipmi', ...verified },
    ] as const;
    const failed = (deviceId: string, ago: number) => ({ deviceId, atMs: now - ago, reason: 'no answer' });
    const device = (failedFencings: ReturnType<typeof failed>[]) => {
      const action = fence(
        cluster({ h1: dead, h2: {}, h3: {} }, { hosts: { h1: { ...lost.h1, fenceDevices, failedFencings } } }),
      );
      return action?.kind === 'power-off' ? action.deviceId : undefined;
    };
    assert.equal(device([failed('one', 100)]), 'two');
    assert.equal(device([failed('one', 100), failed('two', 50)]), undefined);
    assert.equal(device([failed('one', 31_000), failed('two', 50)]), 'one');
    const fencing = { deviceId: 'one', sinceMs: now - 100 };
    assert.equal(fence(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: { h1: { ...lost.h1, fencing } } })), undefined);
  });

  it('without a device takes a guarded lease that ran out, and nothing less', () => {
    const proofOf = (look: object) => {
      const hosts = { h1: { ...lost.h1, fenceDevices: [] } };
      const actions = decide(cluster({ h1: { ...dead, ...look }, h2: {}, h3: {} }, { hosts }), now);
      const action = actions.find(({ kind }) => kind === 'record-proof');
      return action?.kind === 'record-proof' ? action.proof : undefined;
    };
    assert.equal(proofOf({ leaseMs: 9000 }), undefined, 'the margin is missing');
    assert.equal(proofOf({ leaseMs: 20_000, guarded: false }), undefined);
    const proof = proofOf({ leaseMs: 9500 });
    assert.deepEqual([proof?.kind, proof?.poolIds], ['lease-expired', ['gold']]);
  });

  it('takes the leases of other pools too, once they have run out as well', () => {
    const [held] = proofsBy({ leaseMs: 9500 });
    const proof = { id: 'proof', proof: { ...held!, poolIds: ['bronze'] } };
    const some = { h1: { ...proven.h1, proof } };
    assert.deepEqual(proofsBy({ leaseMs: 9500 }, some), [], 'it would forget what is proven already');
    const both = { h1: { ...proven.h1, proof: { id: 'proof', proof: { ...held!, poolIds: [] } } } };
    assert.deepEqual(
      proofsBy({ leaseMs: 9500 }, both).map(({ poolIds }) => poolIds),
      [['gold']],
    );
    const same = { h1: { ...proven.h1, proof: { id: 'proof', proof: held! } } };
    assert.deepEqual(proofsBy({ leaseMs: 9500 }, same), []);
    assert.deepEqual(proofsBy({ leaseMs: 9500 }), [held], 'nothing changed for the first');
  });

  it('takes no report of its leases from before it was told something last, nor from before the clock was set back', () => {
    const snapshot = cluster(
      { h1: { ...dead, leaseMs: 9500 }, h2: {}, h3: {} },
      { hosts: { h1: { ...lost.h1, fenceDevices: [] } } },
    );
    const reportedAt = (atMs: number) => {
      const hosts = snapshot.hosts.map((host) => (host.id === 'h1' ? host : at(host, atMs)));
      return kinds(decide({ ...snapshot, hosts }, now)).includes('record-proof');
    };
    const at = (host: HostFacts, atMs: number): HostFacts => ({
      ...host,
      lastHeartbeatMs: Math.max(atMs, now - 200),
      liveness: { ...host.liveness!, atMs },
    });
    assert.equal(reportedAt(now - 100), true);
    assert.equal(reportedAt(now - 1000), false, 'the host was heard 2 s before');
    const [h1, ...others] = snapshot.hosts;
    const ahead = { ...snapshot, hosts: [h1!, ...others.map((host) => at(host, now + 3_600_000))] };
    assert.deepEqual(leaseObservations(h1!, ahead, now), []);
    assert.equal(leaseObservations(h1!, snapshot, now).length, 2);
  });

  it('by another boot only when the host spoke of the old one until it fell silent', () => {
    const policy = { isolation: 'restart', isolationAfterMs: 0 } as const;
    const proofs = (toldMsAgo: number) => {
      const ha = { state: 'management-isolated', because: 'x', sinceMs: now - 60_000 } as const;
      const snapshot = cluster(
        { h1: { ...isolated, bootId: 'boot-new' }, h2: {}, h3: {} },
        { hosts: { h1: { ha, incident } }, policy },
      );
      const hosts = snapshot.hosts.map((host) =>
        host.id === 'h1' ? { ...host, liveness: { ...host.liveness!, atMs: now - toldMsAgo } } : host,
      );
      return decide({ ...snapshot, hosts }, now).flatMap((action) =>
        action.kind === 'record-proof' ? [action.proof.kind] : [],
      );
    };
    assert.deepEqual(proofs(isolated.silentMs!), ['rebooted']);
    assert.deepEqual(proofs(isolated.silentMs! + 5000), [], 'it was heard without saying which boot that was');
  });

  it('calls an operator once when nothing is left to try', () => {
    const hosts = { h1: { ...lost.h1, fenceDevices: [] } };
    const alarms = (alarmed: readonly string[]) =>
      decide(
        cluster(
          { h1: { ...dead, guarded: false }, h2: {}, h3: {} },
          { hosts: { h1: { ...hosts.h1, incident: { ...incident, alarms: alarmed } } } },
        ),
        now,
      ).flatMap((action) => (action.kind === 'alarm' ? [action.code] : []));
    assert.deepEqual(alarms([]), ['host-lost', 'operator-needed']);
    assert.deepEqual(alarms(['host-lost', 'operator-needed']), []);
  });

  it('does nothing in a cluster without high availability but tells', () => {
    const actions = decide(
      cluster({ h1: dead, h2: {}, h3: {} }, { hosts: lost, policy: { enabled: false }, vms: [vm('a')] }),
      now,
    );
    assert.deepEqual(kinds(actions), ['alarm']);
  });
});

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
    assert.deepEqual(deeds(cluster({ h1: isolated, h2: {}, h3: {} }, restarting)), ['power-off'], 'the policy decides');
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

describe('restarts', () => {
  const listed = (snapshot: HaSnapshot) =>
    decide(snapshot, now).flatMap((action) =>
      action.kind === 'list-restarts' ? action.vms.map(({ vmId }) => vmId) : [],
    );
  const started = (vms: readonly ReturnType<typeof vm>[], maxParallelRestarts = 16) =>
    decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: proven, vms, policy: { maxParallelRestarts } }), now).flatMap(
      (action) => (action.kind === 'restart' ? [action.vmId] : []),
    );
  const placed = (name: string, more: Parameters<typeof vm>[1] = {}) =>
    vm(name, { restart: restart('placed'), ...more });
  const ha = (priority: 'high' | 'medium' | 'low', ...dependsOn: string[]) => ({ ...defaultVmHa, priority, dependsOn });

  it('are listed for what ran on a lost host, is wanted and can be reached from others', () => {
    const vms = [
      vm('b'),
      vm('a'),
      vm('first', { ha: ha('high') }),
      vm('shut-down', { lastSeen: 'stopped' }),
      vm('unwanted', { desiredState: 'stopped' }),
      vm('off', { ha: { ...ha('high'), enabled: false } }),
      vm('local', { shared: false }),
      vm('elsewhere', { hostId: 'h2', state: 'running' }),
    ];
    assert.deepEqual(listed(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: lost, vms })), ['first', 'a', 'b']);
  });

  it('of VMs that a host had to end without its storage follow its own word', () => {
    const hosts = { h1: { ha: { state: 'storage-lost', because: 'x', sinceMs: now }, incident } } as const;
    const vms = [vm('ended', { state: 'crashed', lastSeen: 'crashed' }), vm('running', { state: 'running' })];
    assert.deepEqual(listed(cluster({ h1: { ownMs: 7000 }, h2: {}, h3: {} }, { hosts, vms })), ['ended']);
    const waiting = [vm('ended', { state: 'crashed', restart: restart('waiting') })];
    const actions = decide(cluster({ h1: { ownMs: 7000 }, h2: {}, h3: {} }, { hosts, vms: waiting }), now);
    assert.ok(kinds(actions).includes('place'));
  });

  it('wait for the proof, and are then placed together', () => {
    const vms = [vm('a', { restart: restart('waiting') }), vm('b', { restart: restart('waiting') })];
    assert.ok(!kinds(decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: lost, vms }), now)).includes('place'));
    const actions = decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: proven, vms }), now);
    assert.deepEqual(
      actions.map((action) => action.kind === 'place' && action.vmIds),
      [['a', 'b']],
    );
  });

  it('by a lease happen only to VMs with a disk in its pools', () => {
    const proof = { ...proven.h1.proof.proof, poolIds: ['gold'] };
    const hosts = { h1: { ...proven.h1, proof: { id: 'proof', proof } } };
    const vms = [
      vm('a', { restart: restart('waiting') }),
      vm('b', { restart: restart('waiting'), poolIds: ['silver'] }),
    ];
    const [action] = decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts, vms }), now);
    assert.deepEqual(action?.kind === 'place' && action.vmIds, ['a']);
  });

  it('keep to priority', () => {
    const high = placed('z-high', { ha: ha('high') });
    assert.deepEqual(started([placed('a-low', { ha: ha('low') }), placed('medium'), high]), ['z-high']);
    const starting = vm('z-high', {
      ha: ha('high'),
      restart: restart('starting', { task: { id: 't', state: 'open', error: null } }),
    });
    assert.deepEqual(started([placed('medium'), starting]), [], 'not before the higher ones run');
    const booting = vm('z-high', {
      ha: ha('high'),
      hostId: 'h2',
      state: 'running',
      restart: restart('booting', { hadGuestAgent: true }),
    });
    assert.deepEqual(started([placed('medium'), booting]), ['medium']);
    const stuck = vm('z-high', { ha: ha('high'), restart: restart('waiting', { notBeforeMs: now + 5000 }) });
    assert.deepEqual(started([placed('medium'), stuck]), ['medium'], 'one that cannot go holds up nobody');
  });

  it('keep to dependencies, until the guest answers', () => {
    const web = placed('web', { ha: ha('high', 'db') });
    assert.deepEqual(started([web, placed('db', { ha: ha('low') })]), ['db']);
    const db = (guestAgent: boolean, sinceMs: number, hadGuestAgent = true) =>
      vm('db', { hostId: 'h2', state: 'running', guestAgent, restart: restart('booting', { hadGuestAgent, sinceMs }) });
    assert.deepEqual(started([web, db(false, now - 1000)]), []);
    assert.deepEqual(started([web, db(true, now - 1000)]), [], 'it is over first');
    assert.deepEqual(started([web, db(false, now - 61_000)]), ['web'], 'but not for ever');
    assert.deepEqual(started([web, vm('db', { hostId: 'h2', state: 'running' })]), ['web']);
    assert.deepEqual(
      started([placed('a', { ha: ha('high', 'b') }), placed('b', { ha: ha('high', 'a') })]),
      ['a', 'b'],
      'circle',
    );
    assert.deepEqual(started([web, vm('db', { projectId: 'other', restart: restart('failed') })]), ['web']);
  });

  it('keep to the limit of starts at once', () => {
    assert.deepEqual(started([placed('a'), placed('b'), placed('c')], 2), ['a', 'b']);
  });

  const next = (
    state: Parameters<typeof restart>[0],
    more: Parameters<typeof restart>[1],
    about: Parameters<typeof vm>[1] = {},
  ) =>
    decide(
      cluster(
        { h1: dead, h2: {}, h3: {} },
        { hosts: proven, vms: [vm('a', { restart: restart(state, more), ...about })] },
      ),
      now,
    )[0];
  const task = (state: 'open' | 'succeeded' | 'failed' | 'parked') => ({
    id: 't',
    state,
    error: state === 'failed' ? 'no' : null,
  });

  it('that fail are tried again later each time, then counted as failed', () => {
    const first = next('starting', { task: task('failed') });
    assert.deepEqual(first?.kind === 'retry' && [first.counts, first.notBeforeMs - now, first.because], [
      true,
      5000,
      'no',
    ]);
    const third = next('starting', { task: task('failed'), attempts: 2 });
    assert.equal(third?.kind === 'retry' && third.notBeforeMs - now, 20_000);
    assert.equal(next('starting', { task: task('failed'), attempts: 4 })?.kind, 'fail-restart');
  });

  it('that failed are tried again when a host is back', () => {
    assert.equal(next('failed', { sinceMs: now - 1000 }), undefined);
    assert.equal(next('failed', { sinceMs: now - 200_000 })?.kind, 'retry');
  });

  it('end when the VM runs and its guest answers as before', () => {
    assert.equal(next('starting', { task: task('succeeded') }, { hostId: 'h2', state: 'running' })?.kind, 'booting');
    const booting = (hadGuestAgent: boolean, guestAgent: boolean) =>
      next('booting', { hadGuestAgent }, { hostId: 'h2', state: 'running', guestAgent })?.kind;
    assert.deepEqual(
      [booting(false, false), booting(true, true), booting(true, false)],
      ['end-restart', 'end-restart', undefined],
    );
  });

  it('end without a start when the host comes back and the VM runs there, or when it is not wanted any more', () => {
    const hosts = { h1: { incident } };
    const vms = [vm('a', { state: 'running', restart: restart('placed') })];
    const [action] = decide(cluster({ h1: {}, h2: {}, h3: {} }, { hosts, vms }), now);
    assert.deepEqual(action?.kind === 'end-restart' && action.outcome, 'recovered');
    const dropped = next('placed', {}, { desiredState: 'stopped' });
    assert.deepEqual(dropped?.kind === 'end-restart' && dropped.outcome, 'dropped');
  });

  it('are placed anew when the new host is lost', () => {
    const vms = [vm('a', { restart: restart('placed') })];
    const actions = decide(cluster({ h1: dead, h2: dead, h3: {}, h4: {}, h5: {} }, { hosts: proven, vms }), now);
    assert.ok(actions.some((action) => action.kind === 'retry' && !action.counts));
  });

  it('follow an operator’s word as any other proof', () => {
    const proof = operatorProof(
      { hostId: 'h1', hostName: 'h1', bootId: null },
      { userId: 'u', userName: 'eva', statement: 'unplugged' },
      now,
    );
    const hosts = { h1: { ...proven.h1, proof: { id: 'proof', proof } } };
    const [action] = decide(
      cluster({ h1: dead, h2: {}, h3: {} }, { hosts, vms: [vm('a', { restart: restart('waiting') })] }),
      now,
    );
    assert.equal(action?.kind, 'place');
  });
});
