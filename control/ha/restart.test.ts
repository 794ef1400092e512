import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultVmHa } from '@kvasir/api/resources/ha-policy.ts';
import { decide } from './decide.ts';
import { operatorProof } from './fence-proof.ts';
import type { HaSnapshot } from './snapshot.ts';
import { kinds } from './testing/decisions.ts';
import { cluster, dead, incident, lost, now, proven, restart, vm } from './testing/facts.ts';

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

  it('are not held up by one whose task waits for an operator', () => {
    const parked = (sinceMs = now - 1000) =>
      vm('db', {
        ha: ha('high'),
        restart: restart('starting', { sinceMs, task: { id: 't', state: 'parked', error: 'x' } }),
      });
    assert.deepEqual(
      started([parked(), placed('a'), placed('b')], 1),
      ['a'],
      'neither by the limit nor by its priority',
    );
    const web = placed('web', { ha: ha('high', 'db') });
    assert.deepEqual(started([parked(now - 59_000), web]), []);
    assert.deepEqual(started([parked(now - 60_000), web]), ['web']);
  });

  it('do not wait for ever for one that failed, or that finds no place', () => {
    const web = placed('web', { ha: ha('high', 'db') });
    const db = (state: 'waiting' | 'failed', sinceMs: number) =>
      vm('db', { ha: ha('low'), restart: restart(state, { sinceMs, notBeforeMs: now + 5000 }) });
    assert.deepEqual(started([web, db('failed', now - 1000)]), ['web'], 'its tries are used up');
    assert.deepEqual(started([web, db('waiting', now - 59_000)]), []);
    assert.deepEqual(started([web, db('waiting', now - 60_000)]), ['web']);
    const held = (sinceMs: number) => placed('db', { busy: true, restart: restart('placed', { sinceMs }) });
    assert.deepEqual(started([web, held(now - 59_000)]), []);
    assert.deepEqual(started([web, held(now - 60_000)]), ['web'], 'a task has it');
  });

  it('of VMs in other clusters are only waited for', () => {
    const db = (state: 'placed' | 'starting') =>
      vm('db', { hostId: 'x1', clusterId: 'other', restart: restart(state, { fromHostId: 'x1', toHostId: 'x2' }) });
    for (const state of ['placed', 'starting'] as const) {
      const vms = [db(state), placed('web', { ha: ha('high', 'db') })];
      const actions = decide(cluster({ h1: dead, h2: {}, h3: {} }, { hosts: proven, vms }), now);
      assert.deepEqual(
        actions.flatMap((action) => ('vmId' in action ? [action.vmId] : [])),
        [],
        state,
      );
    }
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

  it('end when high availability is turned off, so that somebody else can start the VM; what starts is left to its end', () => {
    const off = (state: Parameters<typeof restart>[0], more: object, enabled: boolean, task: object | null = null) => {
      const vms = [vm('a', { ...more, restart: restart(state, { task: task as never }) })];
      const snapshot = cluster({ h1: dead, h2: {}, h3: {} }, { hosts: proven, vms, policy: { enabled } });
      return decide(snapshot, now).map((action) => (action.kind === 'end-restart' ? action.outcome : action.kind));
    };
    const vmOff = { ha: { ...defaultVmHa, enabled: false } };
    for (const state of ['waiting', 'placed', 'failed'] as const) {
      assert.deepEqual(off(state, {}, false), ['dropped'], state);
      assert.deepEqual(off(state, vmOff, true), ['dropped'], state);
    }
    assert.deepEqual(off('starting', {}, false, { id: 't', state: 'open', error: null }), []);
    assert.deepEqual(off('starting', {}, false, { id: 't', state: 'succeeded', error: null }), ['booting']);
  });

  it('are placed anew when the new host is lost', () => {
    const vms = [vm('a', { restart: restart('placed') })];
    const actions = decide(cluster({ h1: dead, h2: dead, h3: {}, h4: {}, h5: {} }, { hosts: proven, vms }), now);
    assert.ok(actions.some((action) => action.kind === 'retry' && !action.counts));
  });

  it('stay with a host that has lost a pool or a network that they do not need, and leave one that lost theirs', () => {
    const replaced = (hosts: Parameters<typeof cluster>[0]) => {
      const ha = { state: 'running', because: null, sinceMs: now } as const;
      const h2 = { ha, incident };
      const vms = [vm('a', { restart: restart('placed'), poolIds: ['silver'] })];
      const actions = decide(cluster({ h1: dead, h3: {}, ...hosts }, { hosts: { ...proven, h2 }, vms }), now);
      return actions.some(({ kind }) => kind === 'retry');
    };
    assert.equal(replaced({ h2: { ownMs: 7000 } }), false, 'gold is lost');
    assert.equal(replaced({ h2: { uplink: false } }), false);
    assert.equal(replaced({ h2: { hypervisorSilentMs: 20_000 } }), true);
    const own = vm('a', { restart: restart('placed') });
    const actions = decide(cluster({ h1: dead, h2: { ownMs: 7000 }, h3: {} }, { hosts: proven, vms: [own] }), now);
    assert.ok(kinds(actions).includes('retry'));
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
