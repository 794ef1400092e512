import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { VmRow } from '../store/vms.ts';
import { observeVm } from './observe-vm.ts';

const quiet = { hostId: 'h1', locked: false, arrivedElsewhere: false };
const base = {
  hostId: 'h1',
  reservedHostId: null,
  state: 'running',
  stateReason: null,
  guest: null,
  drift: [],
  startedAt: 1,
};
const row = (changes: Partial<VmRow> = {}): VmRow => ({ ...base, ...changes }) as unknown as VmRow;
const report = (changes: Partial<DomainReport> = {}): DomainReport => ({
  vmId: 'v',
  name: 'web',
  managed: true,
  state: 'running',
  reason: null,
  incoming: false,
  startedAtMs: 1,
  guest: null,
  drift: [],
  ...changes,
});

describe('a report of a VM', () => {
  it('that says nothing new changes nothing', () => {
    assert.equal(observeVm(row(), { ...quiet, report: report() }), null);
  });

  it('changes only what is new', () => {
    const changes = observeVm(row(), { ...quiet, report: report({ state: 'crashed', reason: 'guest panicked' }) });
    assert.deepEqual(changes, { state: 'crashed', stateReason: 'guest panicked' });
  });

  it('that the guest shut itself down also changes what is wanted, unless a task is at work', () => {
    const ended = report({ state: 'stopped', reason: 'shutdown', startedAtMs: null });
    const running = row({ desiredState: 'running' });
    const seen = { state: 'stopped', stateReason: 'shutdown', startedAt: null };
    assert.deepEqual(observeVm(running, { ...quiet, report: ended }), { ...seen, desiredState: 'stopped' });
    assert.deepEqual(observeVm(running, { ...quiet, report: ended, locked: true }), seen);
    const crashed = report({ state: 'crashed', reason: 'panicked', startedAtMs: null });
    assert.equal(observeVm(running, { ...quiet, report: crashed })?.desiredState, undefined);
  });

  it('that it is off for no reason is a failure of what should run: its host was booted anew', () => {
    const off = report({ state: 'stopped', reason: null, startedAtMs: null });
    const failed = { state: 'crashed', stateReason: 'it ended together with its host', startedAt: null };
    assert.deepEqual(observeVm(row({ desiredState: 'running' }), { ...quiet, report: off }), failed);
    const unknown = row({ desiredState: 'running', state: 'unknown' });
    assert.deepEqual(observeVm(unknown, { ...quiet, report: off }), failed);
    assert.equal(observeVm(row({ ...failed, desiredState: 'running' } as never), { ...quiet, report: off }), null);
    assert.equal(observeVm(row({ desiredState: 'stopped' }), { ...quiet, report: off })?.state, 'stopped');
    // A task that works on it (a migration) will not say it.
    assert.equal(observeVm(unknown, { ...quiet, report: off, locked: true })?.state, 'crashed');
    assert.equal(
      observeVm(row({ desiredState: 'running', state: 'stopped' }), { ...quiet, report: off })?.state,
      undefined,
    );
  });

  it('from another host changes nothing', () => {
    assert.equal(observeVm(row(), { ...quiet, hostId: 'h2', report: report({ state: 'stopped' }) }), null);
  });

  it('from the destination counts once the VM runs there for good', () => {
    const moving = row({ reservedHostId: 'h2', state: 'paused' });
    assert.equal(observeVm(moving, { ...quiet, hostId: 'h2', report: report({ incoming: true }) }), null);
    assert.deepEqual(observeVm(moving, { ...quiet, hostId: 'h2', report: report() }), { state: 'running' });
    assert.equal(observeVm(moving, { ...quiet, report: report({ state: 'stopped' }), arrivedElsewhere: true }), null);
  });

  it('leaves the state to the task that creates the VM, but tells of the guest', () => {
    const guest = { agent: true, hostname: 'web', os: null, addresses: [] };
    assert.deepEqual(observeVm(row({ state: 'creating' }), { ...quiet, report: report({ guest }) }), { guest });
  });

  it('does not revive what was given up', () => {
    assert.equal(observeVm(row({ state: 'trashed' }), { ...quiet, report: report() }), null);
    assert.equal(observeVm(row({ state: 'failed' }), { ...quiet, report: report() }), null);
  });
});

describe('a domain that is gone', () => {
  it('makes the VM stopped', () => {
    const changes = observeVm(row(), { ...quiet, report: null });
    assert.deepEqual(changes, { state: 'stopped', stateReason: 'the host has no domain of it', startedAt: null });
  });

  it('changes nothing while a task works on the VM, or while it is created', () => {
    assert.equal(observeVm(row(), { ...quiet, report: null, locked: true }), null);
    assert.equal(observeVm(row({ state: 'creating' }), { ...quiet, report: null }), null);
  });

  it('from another host changes nothing', () => {
    assert.equal(observeVm(row(), { ...quiet, hostId: 'h2', report: null }), null);
  });
});
