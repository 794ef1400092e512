import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { readKeptFile, unfinishedEnding, writeKeptFile } from './kept-file.ts';

describe('a kept file', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvasir-kept-'));
    path = join(folder, 'numbers.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('holds what was written last, for root alone, and nothing is left beside it', async () => {
    assert.equal(await readKeptFile(path), undefined);
    await writeKeptFile(path, 'a longer first');
    await writeKeptFile(path, 'second');
    assert.equal(await readKeptFile(path), 'second');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(folder), ['numbers.json']);
  });

  it('keeps its content when the next cannot be written', async () => {
    await writeKeptFile(path, 'first');
    await mkdir(path + unfinishedEnding);
    await assert.rejects(writeKeptFile(path, 'second'), { code: 'EISDIR' });
    assert.equal(await readKeptFile(path), 'first');
  });

  it('that cannot be read is not taken for one that is not there', async () => {
    await mkdir(path);
    await assert.rejects(readKeptFile(path), { code: 'EISDIR' });
  });
});
