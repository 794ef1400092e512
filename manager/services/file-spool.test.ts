import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { FileSpool } from './file-spool.ts';

test('content that another manager took is missed in words that say what to do', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-spool-'));
  try {
    const spool = new FileSpool(join(folder, 'uploads'));
    await spool.prepare();
    const missing = spool.open('01890000-0000-7000-8000-000000000001');
    await assert.rejects(missing, (error) => error instanceof KvasirError && /upload it again/.test(error.message));
  } finally {
    await rm(folder, { recursive: true });
  }
});
