/** What holds of power saving in every cluster: with its actions carried out one after the other, for a long time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dispensable, planPower } from './plan-power.ts';
import { brokenPromise, freeShares, roomNow } from './room.ts';
import { asleep, carryOut, change, type GivenVm, policy as usual, promising, wanting, world } from './testing/model.ts';
import type { PowerAction, PowerPolicy, PowerState, PowerWorld } from './world.ts';

const vm = fc.record({
  on: fc.nat({ max: 7 }),
  memoryMib: fc.integer({ min: 50, max: 400 }),
  cpus: fc.integer({ min: 1, max: 4 }),
});

/** Every host holds what is on it. */
const fitting = (hosts: number, vms: readonly GivenVm[]): GivenVm[] => {
  const sums = Array.from({ length: hosts }, () => ({ memoryMib: 0, cpus: 0 }));
  return vms.filter(({ on, memoryMib, cpus = 1 }) => {
    const sum = sums[on % hosts]!;
    if (sum.memoryMib + memoryMib > 1000 || sum.cpus + cpus > 16) return false;
    sum.memoryMib += memoryMib;
    sum.cpus += cpus;
    return true;
  });
};

const policies = fc
  .record({
    evacuate: fc.boolean(),
    minHostsOn: fc.integer({ min: 1, max: 4 }),
    wakeAbovePercent: fc.integer({ min: 50, max: 100 }),
    above: fc.integer({ min: 5, max: 40 }),
  })
  .map(({ above, ...rest }): PowerPolicy => {
    const keepFreePercent = Math.min(95, 100 - rest.wakeAbovePercent + above);
    return { ...usual, ...rest, keepFreePercent };
  });

const states = fc.constantFrom<PowerState>('on', 'on', 'on', 'standby', 'out', 'failed', 'waking', 'entering');

const worlds = fc
  .record({
    hosts: fc.integer({ min: 1, max: 7 }),
    vms: fc.array(vm, { maxLength: 30 }),
    failures: fc.nat({ max: 2 }),
    sleeping: fc.array(fc.nat({ max: 6 }), { maxLength: 3 }),
  })
  .map(({ hosts, vms, failures, sleeping }): PowerWorld => {
    const off = new Set(sleeping.map((at) => at % hosts));
    const awake = vms.filter(({ on }) => !off.has(on % hosts));
    const made = asleep(world(hosts, fitting(hosts, awake)), ...[...off].map((at) => `h${at}`));
    return failures === 0 ? made : promising(made, failures);
  });

interface Played {
  readonly end: PowerWorld;
  readonly actions: readonly PowerAction[];
}

/** As the controller does it: looks again and again, at a constant load, until nothing has happened for long. */
function play(start: PowerWorld, policy: PowerPolicy, check: (after: PowerWorld, action: PowerAction) => void): Played {
  let now = 0;
  let current = start;
  const actions: PowerAction[] = [];
  for (let quiet = 0; quiet < 5; ) {
    now += policy.idleAfterMs / 2;
    const free = new Set(dispensable(current, policy, now).map(({ hostId }) => hostId));
    for (const { placement, dispensableSinceMs } of current.hosts) {
      const since = free.has(placement.id) ? (dispensableSinceMs ?? now) : null;
      current = change(current, placement.id, { dispensableSinceMs: since });
    }
    const due = planPower(current, policy, now).filter((action) => action.kind === 'wake' || action.dueMs <= now);
    quiet = due.length === 0 ? quiet + 1 : 0;
    for (const action of due) {
      current = carryOut(current, action);
      actions.push(action);
      check(current, action);
    }
    assert.ok(actions.length <= 2 * start.hosts.length, 'it goes on and on');
  }
  return { end: current, actions };
}

test('a host that is switched off breaks no promise, leaves what is to be kept free, and enough hosts on', () => {
  fc.assert(
    fc.property(worlds, policies, (start, policy) => {
      play(start, policy, (after, { kind }) => {
        if (kind !== 'standby') return;
        const room = roomNow(after);
        const { memory, cpus } = freeShares(after, room);
        assert.ok(Math.min(memory, cpus) * 100 >= policy.keepFreePercent, `${memory} ${cpus}`);
        assert.equal(brokenPromise(after, room), undefined);
        assert.ok(after.hosts.filter(({ power }) => power === 'on').length >= policy.minHostsOn);
        assert.ok(after.hosts.every(({ placement, power }) => power !== 'standby' || placement.vms.length === 0));
      });
    }),
    { numRuns: 300 },
  );
});

test('at a constant load each host changes once at most, and then it is quiet', () => {
  fc.assert(
    fc.property(worlds, policies, (start, policy) => {
      const { actions, end } = play(start, policy, () => {});
      const changed = actions.map(({ hostId }) => hostId);
      assert.equal(
        new Set(changed).size,
        changed.length,
        actions.map(({ kind, hostId }) => `${kind} ${hostId}`).join(),
      );
      assert.deepEqual(play(end, policy, () => {}).actions, []);
    }),
    { numRuns: 300 },
  );
});

test('only hosts that are well and free to go are switched off, and none while anything is unsettled', () => {
  const tags = fc.record({
    states: fc.array(states, { minLength: 7, maxLength: 7 }),
    stuck: fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
    unsettled: fc.option(fc.constant('an incident is open'), { freq: 4 }),
  });
  fc.assert(
    fc.property(worlds, policies, tags, (start, policy, { states: given, stuck, unsettled }) => {
      let now: PowerWorld = { ...start, unsettled };
      for (const [at, { placement, power }] of start.hosts.entries()) {
        if (power === 'standby') continue;
        const state = given[at]!;
        now = state === 'standby' ? now : change(now, placement.id, { power: state });
        if (stuck[at] === true) now = change(now, placement.id, { stays: 'it has no power device' });
      }
      for (const action of planPower(now, policy, 0)) {
        const host = now.hosts.find(({ placement }) => placement.id === action.hostId)!;
        if (action.kind === 'wake') {
          assert.ok(['standby', 'failed'].includes(host.power));
          continue;
        }
        assert.deepEqual([host.power, host.stays, now.unsettled], ['on', null, null]);
        assert.ok(now.hosts.every(({ power }) => power !== 'entering' && power !== 'waking'));
      }
    }),
    { numRuns: 300 },
  );
});

test('a VM without room gets a host when one that sleeps would take it', () => {
  fc.assert(
    fc.property(worlds, policies, fc.integer({ min: 100, max: 1200 }), (start, policy, memoryMib) => {
      const sleeping = start.hosts.filter(({ power }) => power === 'standby');
      const fits = start.hosts.some(
        ({ placement, power }) =>
          power === 'on' && placement.vms.reduce((sum, each) => sum + each.memoryMib, memoryMib) <= 1000,
      );
      const room = start.hosts.some(
        ({ placement, power }) => power === 'on' && placement.vms.reduce((sum, { cpus }) => sum + cpus, 1) <= 16,
      );
      const asked = { ...start, wanting: [wanting('asked', memoryMib)] };
      const woken = planPower(asked, policy, 0).filter(({ kind }) => kind === 'wake');
      if (sleeping.length > 0 && memoryMib <= 1000 && !(fits && room)) assert.ok(woken.length > 0);
    }),
    { numRuns: 300 },
  );
});
