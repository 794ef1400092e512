import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
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

  it('is put under its name whole, and on disk there before the writer hears of it', async (context) => {
    const probe = await open(folder, 'r');
    const handles = Object.getPrototypeOf(probe) as typeof probe;
    await probe.close();
    const synced: string[] = [];
    context.mock.method(handles, 'sync', async function sync(this: typeof probe) {
      const isFolder = (await this.stat()).isDirectory();
      const atName = await readFile(path, 'utf8').catch(() => 'nothing');
      synced.push(`${isFolder ? 'folder' : 'file'} with ${atName} at the name`);
    });
    await writeKeptFile(path, 'first');
    await writeKeptFile(path, 'second');
    assert.deepEqual(synced, [
      'file with nothing at the name',
      'folder with first at the name',
      'file with first at the name',
      'folder with second at the name',
    ]);
  });

  it('is for its owner alone, whatever a crash left in its way', async () => {
    await writeFile(path + unfinishedEnding, 'half of a long one');
    await chmod(path + unfinishedEnding, 0o644);
    await writeKeptFile(path, 'whole');
    assert.equal(await readKeptFile(path), 'whole');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('that cannot be read is not taken for one that is not there', async () => {
    await mkdir(path);
    await assert.rejects(readKeptFile(path), { code: 'EISDIR' });
  });
});
