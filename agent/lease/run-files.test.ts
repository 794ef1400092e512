/** What one keeper leaves for the next. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { FileRenewals } from './run-files.ts';

const quiet = (): void => {};

it('a pool that was let go of since the keeper started is not taken for one that was renewed long ago', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-run-'));
  try {
    new FileRenewals(directory, 'h1', 'boot-1', quiet).save({ pool: 1000 });
    const next = new FileRenewals(directory, 'h1', 'boot-1', quiet);
    assert.deepEqual(next.load(), { pool: 1000 });
    next.save({ pool: 50_000 });
    assert.deepEqual(next.load(), { pool: 50_000 });
    next.save({});
    assert.deepEqual(next.load(), {});
    assert.deepEqual(new FileRenewals(directory, 'h1', 'boot-2', quiet).load(), {});
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it('what the last keeper left is not taken for nothing when it cannot be read', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-run-'));
  try {
    writeFileSync(join(directory, 'keeper-h1.json'), '{"bootId":"boot-1","renew');
    assert.throws(() => new FileRenewals(directory, 'h1', 'boot-1', quiet), SyntaxError);
    rmSync(join(directory, 'keeper-h1.json'));
    mkdirSync(join(directory, 'keeper-h1.json'));
    assert.throws(() => new FileRenewals(directory, 'h1', 'boot-1', quiet), /EISDIR/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it('a keeper whose renewals cannot be written says so once, and knows them itself', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-run-'));
  try {
    const said: string[] = [];
    const renewals = new FileRenewals(directory, 'h1', 'boot-1', (message) => said.push(message));
    assert.equal(renewals.save({ pool: 500 }), true);
    mkdirSync(join(directory, 'keeper-h1.json.new'));
    assert.equal(renewals.save({ pool: 1000 }), true);
    assert.equal(renewals.save({ pool: 2000, another: 2000 }), false);
    assert.deepEqual(renewals.load(), { pool: 2000, another: 2000 });
    assert.equal(said.length, 1);
    rmSync(join(directory, 'keeper-h1.json.new'), { recursive: true });
    assert.equal(renewals.save({ pool: 3000 }), true);
    assert.deepEqual(new FileRenewals(directory, 'h1', 'boot-1', quiet).load(), { pool: 3000 });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
