import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dispensable, planPower, unsteady, whyStays } from './plan-power.ts';
import { asleep, change, policy, promising, wanting, world } from './testing/model.ts';
import type { PowerWorld } from './world.ts';

const light = [{ on: 0, memoryMib: 100 }];
const kinds = (of: PowerWorld, now = 0) => planPower(of, policy, now).map(({ kind, hostId }) => `${kind} ${hostId}`);

test('an empty host goes before one with VMs, once it has been dispensable for long enough, and it is said why', () => {
  const [action] = planPower(change(world(3, light), 'h1', { dispensableSinceMs: 500 }), policy, 700);
  assert.deepEqual([action?.kind, action?.hostId], ['standby', 'h1']);
  assert.deepEqual(action?.kind === 'standby' ? [action.dueMs, action.vms] : [], [1500, 0]);
  assert.match(action!.because, /^h1 carries no VM; without it 95 % of memory and 97 % of CPUs stay free$/);
  assert.deepEqual(
    dispensable(world(3, light), policy, 0).map(({ hostId, vms }) => [hostId, vms]),
    [
      ['h1', 0],
      ['h2', 0],
      ['h0', 1],
    ],
  );
  assert.deepEqual(
    dispensable(world(3, light), { ...policy, evacuate: false }, 0).map(({ hostId }) => hostId),
    ['h1', 'h2'],
  );
});

test('stays: what must not, with the reason', () => {
  const stays = (of: PowerWorld, changes = {}) => {
    const asked = { ...policy, ...changes };
    const [host] = of.hosts;
    assert.ok(!dispensable(of, asked, 0).some(({ hostId }) => hostId === 'h0'));
    return whyStays(host!, of, asked, 0);
  };
  assert.equal(stays(world(2, []), { mode: 'off' }), 'power saving is off');
  assert.equal(stays(world(2, []), { minHostsOn: 2 }), '2 host(s) are to stay on');
  assert.equal(stays(world(2, [], { unsettled: 'an incident is open' })), 'an incident is open');
  assert.equal(stays(change(world(2, []), 'h0', { stays: 'it has no power device' })), 'it has no power device');
  assert.equal(stays(change(world(2, []), 'h0', { power: 'out' })), 'it is out');
  assert.match(stays(change(world(2, []), 'h0', { notBeforeMs: 1 }))!, /went wrong/);
  assert.match(stays(change(world(3, []), 'h1', { power: 'entering' }))!, /another host/);
  assert.match(
    stays(
      world(2, [
        { on: 0, memoryMib: 100 },
        { on: 1, memoryMib: 950 },
      ]),
    )!,
    /no other host takes v0/,
  );
  assert.match(stays(world(2, [{ on: 1, memoryMib: 750 }]))!, /only 25 % of memory .* less than 30 %/);
  assert.match(stays(promising(world(2, [{ on: 1, memoryMib: 100 }])))!, /without it if h1 died, 1 VM/);
});

test('wakes all, in any mode, when more hosts have to tell who is cut off', () => {
  const doubt = (of: PowerWorld) => ({ ...asleep(of, 'h2', 'h3'), managerInDoubt: true });
  const lost = doubt(change(change(world(4, light), 'h0', { power: 'out' }), 'h1', { power: 'out' }));
  for (const mode of ['off', 'suggested', 'automatic'] as const) {
    const actions = planPower(lost, { ...policy, mode }, 0);
    assert.deepEqual(
      actions.map((action) => [action.kind, action.hostId, action.kind === 'wake' && action.afterFailure]),
      [
        ['wake', 'h2', true],
        ['wake', 'h3', true],
      ],
    );
  }
  const coming = change(lost, 'h2', { power: 'waking' });
  assert.deepEqual(kinds(coming), ['wake h3'], 'once');
});

test('wakes: for a VM without room the host that takes it, and only as many as are needed', () => {
  const full = [
    { on: 0, memoryMib: 700 },
    { on: 1, memoryMib: 700 },
  ];
  const sleeping = asleep(world(4, full), 'h2', 'h3');
  assert.deepEqual(kinds(sleeping), []);
  assert.deepEqual(kinds({ ...sleeping, wanting: [wanting('a', 200)] }), []);
  assert.deepEqual(kinds({ ...sleeping, wanting: [wanting('a', 400), wanting('b', 500)] }), ['wake h2']);
  assert.deepEqual(kinds({ ...sleeping, wanting: [wanting('a', 600), wanting('b', 600)] }), ['wake h2', 'wake h3']);
  assert.deepEqual(kinds({ ...sleeping, wanting: [wanting('never', 2000)] }), []);
  const promised = { ...promising(asleep(world(3, [{ on: 0, memoryMib: 500 }]), 'h2')), wanting: [wanting('a', 600)] };
  assert.deepEqual(kinds(promised), ['wake h2']);
  const coming = change(sleeping, 'h2', { power: 'waking' });
  assert.deepEqual(kinds({ ...coming, wanting: [wanting('a', 400)] }), []);
});

test('wakes: when too little is free, too few are on, or the promise does not hold; another one when one fails', () => {
  const [crowded] = [asleep(world(3, [{ on: 0, memoryMib: 900 }]), 'h1', 'h2')];
  assert.deepEqual(kinds(crowded), ['wake h1']);
  assert.match(planPower(crowded, policy, 0)[0]!.because, /^only 10 % of memory .* less than 15 %: h1 is woken$/);
  assert.deepEqual(kinds(change(crowded, 'h1', { power: 'waking' })), []);
  assert.deepEqual(kinds(change(crowded, 'h1', { power: 'failed', notBeforeMs: 50 })), ['wake h2']);
  const last = change(change(crowded, 'h1', { power: 'failed', notBeforeMs: 50 }), 'h2', { power: 'failed' });
  assert.deepEqual(kinds(change(last, 'h2', { power: 'failed', notBeforeMs: 50 })), []);
  assert.deepEqual(kinds(change(last, 'h2', { power: 'failed', notBeforeMs: 50 }), 50), ['wake h1']);
  assert.deepEqual(
    planPower(asleep(world(3, []), 'h1', 'h2'), { ...policy, minHostsOn: 2 }, 0).map(({ hostId }) => hostId),
    ['h1'],
  );
  assert.deepEqual(kinds(promising(asleep(world(3, light), 'h1', 'h2'))), ['wake h1']);
});

test('off: wakes what it switched off itself, and for a failure whatever sleeps', () => {
  const off = { ...policy, mode: 'off' } as const;
  const sleeping = change(asleep(world(3, []), 'h1', 'h2'), 'h2', { byPolicy: false });
  assert.deepEqual(
    planPower(sleeping, off, 0).map(({ hostId }) => hostId),
    ['h1'],
  );
  const failed = asleep(world(3, [{ on: 0, memoryMib: 900 }]), 'h2');
  const full = change(failed, 'h1', { power: 'out' });
  const [wake] = planPower({ ...change(full, 'h2', { byPolicy: false }), wanting: [wanting('a', 500, true)] }, off, 0);
  assert.deepEqual([wake?.hostId, wake?.kind === 'wake' && wake.afterFailure], ['h2', true]);
});

test('a policy that would switch hosts on and off by turns is told from one that would not', () => {
  assert.equal(unsteady(policy), undefined);
  assert.match(unsteady({ ...policy, keepFreePercent: 15 })!, /20 at least with wakeAbovePercent 85/);
});
