import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decide } from './decide.ts';
import { leaseObservations } from './signals.ts';
import type { HaSnapshot, HostFacts } from './snapshot.ts';
import { kinds } from './testing/decisions.ts';
import { cluster, dead, incident, isolated, lost, now, proven, verified, vm } from './testing/facts.ts';

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
    const proofs = (toldMsAgo: number, readMsAgo = 200) => {
      const ha = { state: 'management-isolated', because: 'x', sinceMs: now - 60_000 } as const;
      const snapshot = cluster(
        { h1: { ...isolated, bootId: 'boot-new' }, h2: { readMsAgo }, h3: { readMsAgo } },
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
    for (const readMsAgo of [isolated.silentMs! - 900, 60_000])
      assert.deepEqual(proofs(isolated.silentMs!, readMsAgo), [], 'read before, it may be the boot before this one');
  });

  it('says why no device helps: there is none, or the cluster uses none', () => {
    const told = (more: Partial<HostFacts>) =>
      decide(
        cluster(
          { h1: dead, h2: {}, h3: {} },
          { hosts: { h1: { ...lost.h1, ...more } }, policy: { fencing: ['operator'] } },
        ),
        now,
      ).flatMap((action) => (action.kind === 'alarm' && action.code === 'operator-needed' ? [action.because] : []))[0];
    assert.match(told({})!, /power: the cluster uses no device of it;/);
    assert.match(told({ fenceDevices: [] })!, /power: it has no device;/);
  });

  it('of an isolated host counts only time in which the manager listened', () => {
    const ha = { state: 'management-isolated', because: 'x', sinceMs: now - 3_600_000 } as const;
    const told = (heldUpAtMs: number | null, silentMs: number) =>
      fence(
        cluster(
          { h1: { ...isolated, silentMs }, h2: {}, h3: {} },
          { hosts: { h1: { ha, incident } }, policy: { isolation: 'restart' }, manager: { heldUpAtMs } },
        ),
      )?.kind;
    assert.equal(told(null, 31_000), 'power-off');
    assert.equal(told(now, 3_600_000), undefined, 'its clock has just been set an hour ahead');
  });

  it('by its lease, whatever a host saw of it whose storage has hung since', () => {
    const silent = { ...dead, leaseMs: 10_000 };
    const kindsOf = (h3: { readonly readMsAgo: number }) => {
      const snapshot = cluster({ h1: silent, h2: {}, h3: {} }, { hosts: { h1: { ...lost.h1, fenceDevices: [] } } });
      const hosts = snapshot.hosts.map((host) => {
        if (host.id !== 'h3') return host;
        const seen = host.liveness!.report.seen.map((lease) => ({ ...lease, unchangedMs: 300, ...h3 }));
        return { ...host, liveness: { ...host.liveness!, report: { ...host.liveness!.report, seen } } };
      });
      return decide({ ...snapshot, hosts }, now).flatMap((action) =>
        action.kind === 'record-proof' ? [action.proof.kind] : [],
      );
    };
    assert.deepEqual(kindsOf({ readMsAgo: 200 }), [], 'it sees it alive');
    assert.deepEqual(kindsOf({ readMsAgo: 12_000 }), ['lease-expired']);
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
