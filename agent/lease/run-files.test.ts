/** What one keeper leaves for the next. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { FileRenewals } from './run-files.ts';

it('a pool that was let go of since the keeper started is not taken for one that was renewed long ago', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-run-'));
  try {
    new FileRenewals(directory, 'h1', 'boot-1').save({ pool: 1000 });
    const next = new FileRenewals(directory, 'h1', 'boot-1');
    assert.deepEqual(next.load(), { pool: 1000 });
    next.save({ pool: 50_000 });
    assert.deepEqual(next.load(), { pool: 50_000 });
    next.save({});
    assert.deepEqual(next.load(), {});
    assert.deepEqual(new FileRenewals(directory, 'h1', 'boot-2').load(), {});
  } finally {
    rmSync(directory, { recursive: true });
  }
});
