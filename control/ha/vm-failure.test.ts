import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultHaPolicy, defaultVmHa } from '@kvasir/api/resources/ha-policy.ts';
import fc from 'fast-check';
import { decideVmFailures, type FailingVm, type VmFailureAction } from './vm-failure.ts';

const now = 10_000_000;
const policy = defaultHaPolicy;

function vm(more: Partial<FailingVm> = {}): FailingVm {
  return {
    id: 'web',
    name: 'web',
    hostName: 'h1',
    hostWell: true,
    state: 'crashed',
    stateReason: 'panicked',
    desiredState: 'running',
    signs: null,
    ha: defaultVmHa,
    busy: false,
    restarting: false,
    failedAtMs: [],
    open: null,
    ...more,
  };
}

const one = (given: FailingVm, at = now): VmFailureAction | undefined => decideVmFailures([given], policy, at)[0];
const running = { state: 'running', stateReason: null } as const;
const open = { id: 'f', kind: 'guest-hung', reaction: 'reset', atMs: now - 1000, task: 'open' } as const;

test('each failure has its reaction, and says what was seen', () => {
  const seen = (given: FailingVm) => {
    const action = one(given);
    return action?.kind === 'react' ? [action.failure, action.reaction, action.because] : action;
  };
  assert.deepEqual(seen(vm()), ['guest-panicked', 'restart', 'its guest panicked']);
  assert.deepEqual(seen(vm({ stateReason: 'crashed' })), ['qemu-died', 'restart', 'its QEMU ended on h1 (crashed)']);
  const watchdog = { ...running, signs: { watchdogFired: true, quietMs: 0 } };
  assert.deepEqual(seen(vm(watchdog)), ['watchdog-fired', 'reset', 'its guest let its watchdog run out']);
  const hung = (quietMs: number | null) => vm({ ...running, signs: { watchdogFired: false, quietMs } });
  assert.equal(seen(hung(119_999)), undefined);
  assert.equal(seen(hung(null)), undefined);
  assert.deepEqual(seen(hung(120_000)), [
    'guest-hung',
    'reset',
    'its guest has not answered for 120 s, while its disks did nothing',
  ]);
});

test('nothing is done to a VM that is off by will, worked on, or on a host that is not well', () => {
  const left: Partial<FailingVm>[] = [
    { desiredState: 'stopped' },
    { desiredState: 'paused' },
    { state: 'stopped', stateReason: 'shutdown' },
    { busy: true },
    { restarting: true },
    { hostWell: false },
    { ha: { ...defaultVmHa, enabled: false } },
    { ha: { ...defaultVmHa, onFailure: 'none' } },
  ];
  for (const change of left) assert.equal(one(vm(change)), undefined, JSON.stringify(change));
  assert.deepEqual(decideVmFailures([vm()], { ...policy, vmFailure: 'none' }, now), []);
  assert.deepEqual(decideVmFailures([vm()], { ...policy, enabled: false }, now), []);
});

test('the VM has a say of its own over the cluster', () => {
  const asked = (onFailure: 'restart' | 'alarm', vmFailure: 'restart' | 'alarm' | 'none') => {
    const [action] = decideVmFailures([vm({ ha: { ...defaultVmHa, onFailure } })], { ...policy, vmFailure }, now);
    return action?.kind === 'react' ? action.reaction : undefined;
  };
  assert.equal(asked('restart', 'none'), 'restart');
  assert.equal(asked('alarm', 'restart'), 'alarm');
});

test('the pauses double, and after the limit an operator is called; an hour later it is tried again', () => {
  const after = (...failedAtMs: number[]) => {
    const action = one(vm({ failedAtMs }));
    return action?.kind === 'react' ? [action.reaction, action.notBeforeMs - now] : undefined;
  };
  assert.deepEqual(after(), ['restart', 0]);
  assert.deepEqual(after(now - 1000), ['restart', 4000]);
  assert.deepEqual(after(now - 9000, now - 1000), ['restart', 9000]);
  const five = [50, 40, 30, 20, 10].map((ago) => now - ago * 1000);
  assert.deepEqual(after(...five), ['alarm', 0]);
  assert.deepEqual(after(...five.map((at) => at - 3_600_000)), ['restart', 0]);
});

test('a failure ends when the VM runs, or when it fails again, or is not wanted any more', () => {
  const ends = (change: Partial<FailingVm>) => {
    const action = one(vm({ open, ...change }));
    return action?.kind === 'end' ? action.works : undefined;
  };
  assert.equal(ends({ ...running }), true);
  assert.equal(ends({ desiredState: 'stopped' }), true);
  assert.equal(ends({ restarting: true }), undefined);
  assert.equal(ends({}), false);
  const hung = { ...running, signs: { watchdogFired: false, quietMs: 130_000 } };
  assert.equal(ends(hung), undefined);
  assert.equal(ends({ ...hung, open: { ...open, atMs: now - 60_000 } }), false);
  assert.equal(ends({ ...hung, open: { ...open, task: 'failed' } }), false);
  assert.equal(ends({ open: { ...open, reaction: 'alarm' } }), undefined);
  assert.equal(ends({ ha: { ...defaultVmHa, enabled: false } }), true, 'high availability was turned off');
  assert.equal(decideVmFailures([vm({ open })], { ...policy, enabled: false }, now)[0]?.kind, 'end');
});

test('whatever is seen, one VM gets at most one action, and never while a task works on it', () => {
  const any = fc.record({
    state: fc.constantFrom('running', 'crashed', 'stopped', 'unknown', 'paused'),
    desiredState: fc.constantFrom('running', 'stopped'),
    hostWell: fc.boolean(),
    busy: fc.boolean(),
    restarting: fc.boolean(),
    signs: fc.option(fc.record({ watchdogFired: fc.boolean(), quietMs: fc.option(fc.nat(300_000)) })),
    open: fc.option(fc.constant(open)),
  });
  fc.assert(
    fc.property(any, (change) => {
      const actions = decideVmFailures([vm(change)], policy, now);
      assert.ok(actions.length <= 1);
      const acts = actions.filter(({ kind }) => kind === 'react');
      if (
        change.busy ||
        change.restarting ||
        !change.hostWell ||
        change.desiredState !== 'running' ||
        change.open !== null
      )
        assert.deepEqual(acts, []);
      for (const act of acts)
        if (act.kind === 'react' && act.reaction === 'restart') assert.equal(change.state, 'crashed');
    }),
  );
});
