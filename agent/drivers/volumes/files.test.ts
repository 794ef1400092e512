import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { TemporaryFiles } from './files.ts';
import { withDirectory } from './testing.ts';

describe('appearing files', () => {
  it('a name that was taken meanwhile keeps what it has', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'volume');
      const placed = await new TemporaryFiles('h1').appear(path, 0o600, async (temporary) => {
        await writeFile(temporary, 'second');
        await writeFile(path, 'first');
      });
      assert.equal(placed, false);
      assert.equal(await readFile(path, 'utf8'), 'first');
      assert.deepEqual(await readdir(directory), ['volume']);
    });
  });

  it('nothing is seen under the name before the file is complete, nor after a failure', async () => {
    await withDirectory(async (directory) => {
      const path = join(directory, 'volume');
      const failing = new TemporaryFiles('h1').appear(path, 0o600, async (temporary) => {
        await writeFile(temporary, 'half');
        assert.equal((await readdir(directory)).includes('volume'), false);
        throw new Error('the disk is full');
      });
      await assert.rejects(failing, /full/);
      assert.deepEqual(await readdir(directory), []);
    });
  });

  it('a sweep leaves what is being written', async () => {
    await withDirectory(async (directory) => {
      const files = new TemporaryFiles('h1');
      const path = join(directory, 'volume');
      await files.appear(path, 0o600, async (temporary) => {
        await writeFile(temporary, 'content');
        await files.sweep(directory, false);
      });
      assert.equal(await readFile(path, 'utf8'), 'content');
    });
  });
});
