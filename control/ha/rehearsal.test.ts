import assert from 'node:assert/strict';
import { it } from 'node:test';
import { defaultVmHa } from '@kvasir/api/resources/ha-policy.ts';
import { rehearse } from './rehearsal.ts';
import { cluster, now, verified, vm } from './testing/facts.ts';

const ha = (priority: 'high' | 'medium' | 'low', ...dependsOn: string[]) => ({ ...defaultVmHa, priority, dependsOn });

it('a rehearsal says how a host would be proven dead, and why not', () => {
  const about = (snapshot: ReturnType<typeof cluster>) =>
    rehearse(snapshot, 'h1', now).proofs.map(({ method, possible }) => `${method} ${possible}`);
  assert.deepEqual(about(cluster({ h1: {}, h2: {}, h3: {} })), [
    'ipmi true',
    'redfish false',
    'lease true',
    'operator true',
  ]);
  assert.deepEqual(about(cluster({ h1: { guarded: false }, h2: {} }, { policy: { fencing: ['lease'] } })), [
    'lease false',
  ]);
  assert.deepEqual(about(cluster({ h1: {} }, { policy: { fencing: ['ipmi', 'lease'] } })), [
    'ipmi false',
    'lease false',
  ]);
});

it('a rehearsal counts on no power device that would not be asked', () => {
  const proofOf = (trust: object) => {
    const h1 = { fenceDevices: [{ id: 'd1', kind: 'ipmi' as const, ...verified, ...trust }] };
    return rehearse(cluster({ h1: {}, h2: {}, h3: {} }, { hosts: { h1 } }), 'h1', now).proofs[0]!;
  };
  assert.equal(proofOf({}).possible, true);
  const mistrusted = proofOf({ mistrustedBecause: 'it reads off' });
  assert.deepEqual([mistrusted.possible, mistrusted.because], [false, 'its device is mistrusted: it reads off']);
  const unread = proofOf({ seenOnAtMs: null });
  assert.equal(unread.possible, false);
  assert.match(unread.because, /never read on/);
});

it('a rehearsal lists what would start in its order, and the rest with reasons', () => {
  const vms = [
    vm('low', { ha: ha('low') }),
    vm('web', { ha: ha('high', 'db') }),
    vm('db'),
    vm('local', { shared: false }),
    vm('off', { desiredState: 'stopped', lastSeen: 'stopped' }),
    vm('elsewhere', { hostId: 'h2' }),
  ].map((each) => ({ ...each, state: 'running' }));
  const { restarts, left } = rehearse(cluster({ h1: {}, h2: {} }, { vms }), 'h1', now);
  assert.deepEqual(
    restarts.map((each) => `${each.vm.name} after ${each.after.join()}`),
    ['db after ', 'web after db', 'low after '],
  );
  assert.deepEqual(
    left.map((each) => `${each.vm.name}: ${each.because}`),
    ['local: a disk of it lies on the host alone', 'off: it is not wanted to run'],
  );
});

it('a rehearsal counts on no proof while the manager would suspect itself', () => {
  const silent = { silentMs: 60_000 };
  const possible = (snapshot: ReturnType<typeof cluster>) =>
    rehearse(snapshot, 'h1', now)
      .proofs.filter((proof) => proof.possible)
      .map(({ method }) => method);
  assert.deepEqual(possible(cluster({ h1: {}, h2: {}, h3: {}, h4: silent })), ['operator'], 'two of four');
  assert.deepEqual(possible(cluster({ h1: {}, h2: {}, h3: {}, h4: {}, h5: silent })), ['ipmi', 'lease', 'operator']);
});

it('a rehearsal counts on hosts that are woken to settle the doubt of a manager', () => {
  const silent = { silentMs: 60_000 };
  const asleep = { ha: { state: 'standby' as const, because: null, sinceMs: 0 } };
  const proof = (of: ReturnType<typeof cluster>, woken: readonly string[]) => {
    const { proofs, inDoubt } = rehearse(of, 'h1', now, woken);
    return [inDoubt, proofs[0]!.possible, proofs[0]!.because];
  };
  const doubt = 'so many hosts would be silent that the manager would suspect itself';
  const asked = '1 ipmi device(s) would be asked to cut its power';
  const two = cluster({ h1: {}, h2: silent }, { hosts: { h2: asleep } });
  assert.deepEqual(proof(two, []), [true, false, doubt]);
  const settled = 'once h2 is awake: before, the manager would suspect itself';
  assert.deepEqual(proof(two, ['h2']), [true, true, `${asked}, ${settled}`]);
  const half = cluster({ h1: {}, h2: {}, h3: silent, h4: silent, h5: silent }, { hosts: { h4: asleep, h5: asleep } });
  assert.deepEqual(proof(half, ['h4']), [true, false, doubt], 'two of four');
  assert.equal(proof(half, ['h4', 'h5'])[1], true, 'two of five');
  assert.deepEqual(proof(cluster({ h1: {}, h2: {}, h3: silent }, { hosts: { h3: asleep } }), ['h3']), [
    false,
    true,
    asked,
  ]);
});

it('a rehearsal counts on a lease for VMs with a disk in its pool alone', () => {
  const vms = [vm('gold'), vm('silver', { poolIds: ['silver'] })];
  const about = (fenceDevices: object[]) => {
    const h1 = { fenceDevices } as never;
    const { restarts, left } = rehearse(cluster({ h1: {}, h2: {}, h3: {} }, { hosts: { h1 }, vms }), 'h1', now);
    return [restarts.map((each) => each.vm.name).join(), left.map((each) => each.because).join()];
  };
  assert.deepEqual(about([]), [
    'gold',
    'only an operator could say that it does not run: no disk of it lies in a pool with a lease',
  ]);
  assert.deepEqual(about([{ id: 'd1', kind: 'ipmi', ...verified }]), ['gold,silver', '']);
});
