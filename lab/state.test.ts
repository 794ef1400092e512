import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LabNameError, hostLayout, hostNumber, labLayout } from './layout.ts';
import {
  LabStateError,
  parseLabState,
  readLabState,
  removeLabState,
  withHost,
  withLabLock,
  writeLabState,
} from './state.ts';
import type { LabState } from './state.ts';

const state: LabState = {
  version: 1,
  name: 'unit',
  hosts: [
    { name: 'h1', power: 'on', cuts: [] },
    { name: 'h2', power: 'off', cuts: ['vm'] },
  ],
};

describe('lab state', () => {
  it('comes back as it was written, and leaves no temporary file', () => {
    const parent = mkdtempSync(join(tmpdir(), 'kvasir-lab-'));
    try {
      const layout = labLayout('unit', parent);
      assert.equal(readLabState(layout), undefined);
      writeLabState(layout, state);
      assert.deepEqual(readLabState(layout), state);
      assert.deepEqual(readdirSync(layout.directory), ['lab.json']);
      removeLabState(layout);
      assert.equal(readLabState(layout), undefined);
    } finally {
      rmSync(parent, { recursive: true });
    }
  });

  it('changes one host and refuses an unknown one', () => {
    assert.deepEqual(withHost(state, 'h2', { power: 'on' }).hosts[1], { name: 'h2', power: 'on', cuts: ['vm'] });
    assert.throws(() => withHost(state, 'h3', {}), /has no host h3: it has h1, h2/);
  });

  it('refuses the file of another version', () => {
    assert.throws(() => parseLabState('{"version":2,"hosts":[]}'), LabStateError);
  });

  it('lets one change in at a time, and frees the lock after a failure', async () => {
    const layout = labLayout(`unit-${process.pid}`);
    const order: string[] = [];
    let release = (): void => undefined;
    const first = withLabLock(layout, async () => {
      order.push('first in');
      await new Promise<void>((resolve) => (release = resolve));
      order.push('first out');
      throw new Error('failed');
    });
    let second: Promise<unknown>;
    try {
      await assert.rejects(
        withLabLock(layout, async () => undefined, 30),
        /another command changes the lab/,
      );
      second = withLabLock(layout, async () => order.push('second in'));
    } finally {
      release();
    }
    await assert.rejects(first, /failed/);
    await second;
    assert.deepEqual(order, ['first in', 'first out', 'second in']);
  });
});

describe('lab layout', () => {
  it('keeps two labs apart in every name', () => {
    const [a, b] = [labLayout('demo'), labLayout('test')];
    assert.notEqual(a.directory, b.directory);
    assert.notEqual(hostLayout(a, 'h1').namespace, hostLayout(b, 'h1').namespace);
    assert.notEqual(hostLayout(a, 'h1').cgroup, hostLayout(b, 'h1').cgroup);
    assert.equal(hostLayout(a, 'h12').addresses.management, '10.77.0.12');
  });

  it('refuses names that are none', () => {
    for (const name of ['', '../x', 'Demo', 'a b', 'x'.repeat(25), '1a'])
      assert.throws(() => labLayout(name), LabNameError);
    for (const name of ['h0', 'h33', 'x1', 'h1/..', 'h']) assert.throws(() => hostNumber(name), LabNameError);
  });
});
