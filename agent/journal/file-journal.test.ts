import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, type FileHandle, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FileJournal } from './file-journal.ts';

describe('the journal', () => {
  let folder: string;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvasir-journal-'));
  });
  after(() => rm(folder, { recursive: true }));
  const newPath = (): string => {
    count += 1;
    return join(folder, `journal-${count}`);
  };
  const call = (key: string) => ({ key, method: 'vm.start', result: { state: 'running' }, bootId: 'boot' });

  it('remembers finished keys and the epoch over a restart', async () => {
    const path = newPath();
    const first = await FileJournal.open(path, { now: () => 1000 });
    await Promise.all([first.record(call('a')), first.record(call('b')), first.raiseEpoch(7)]);
    await first.raiseEpoch(3);
    await first.close();
    const second = await FileJournal.open(path, { now: () => 1000 });
    assert.deepEqual(
      [second.find('a'), second.find('b'), second.find('c'), second.epoch],
      [call('a'), call('b'), undefined, 7],
    );
    await second.close();
  });

  it('drops keys that are older than it keeps', async () => {
    const path = newPath();
    const first = await FileJournal.open(path, { now: () => 1000 });
    await first.record(call('old'));
    await first.raiseEpoch(2);
    await first.close();
    const later = await FileJournal.open(path, { now: () => 9000, keepMs: 5000 });
    assert.deepEqual([later.find('old'), later.epoch], [undefined, 2]);
    await later.close();
    assert.doesNotMatch(await readFile(path, 'utf8'), /old/);
  });

  it('survives a line cut by a crash and a line that the disk damaged', async () => {
    const path = newPath();
    const first = await FileJournal.open(path, { now: () => 1000 });
    await first.record(call('a'));
    await first.record(call('b'));
    await first.close();
    await writeFile(path, (await readFile(path, 'utf8')).replace('"key":"a"', '"key":"x"'));
    await appendFile(path, '12345678 {"atMs":1,"ke');
    const second = await FileJournal.open(path, { now: () => 1000 });
    assert.deepEqual([second.find('a'), second.find('x'), second.find('b')], [undefined, undefined, call('b')]);
    await second.record(call('c'));
    await second.close();
    const third = await FileJournal.open(path, { now: () => 1000 });
    assert.deepEqual([third.find('b'), third.find('c')], [call('b'), call('c')]);
    await third.close();
  });

  it('writes itself anew when most of it is outdated', async () => {
    const path = newPath();
    let now = 0;
    const journal = await FileJournal.open(path, { now: () => now, keepMs: 10, slack: 20 });
    for (; now < 200; now += 1) await journal.record(call(`k${now}`));
    await journal.close();
    assert.ok((await stat(path)).size < 60 * 100);
    const again = await FileJournal.open(path, { now: () => 200, keepMs: 10 });
    assert.deepEqual(again.find('k199'), call('k199'));
    await again.close();
  });

  it('loses no answer behind half of another one that the disk refused, and that could not be taken away at once', async (t) => {
    const path = newPath();
    const journal = await FileJournal.open(path, { now: () => 1000 });
    await journal.record(call('a'));
    const files = await handles(path);
    const append = t.mock.method(files, 'appendFile', async function (this: FileHandle, bytes: Buffer) {
      await this.write(bytes.subarray(0, bytes.length / 2));
      throw new Error('the disk is full');
    });
    const truncate = t.mock.method(files, 'truncate', async () => {
      throw new Error('the disk does not answer');
    });
    await assert.rejects(journal.record(call('b')), /full/);
    append.mock.restore();
    // Nothing is answered that could not be read again.
    await assert.rejects(journal.record(call('c')), /does not answer/);
    assert.equal(journal.find('c'), undefined);
    truncate.mock.restore();
    await journal.record(call('d'));
    await journal.close();
    const again = await FileJournal.open(path, { now: () => 1000 });
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => again.find(key)?.key),
      ['a', undefined, undefined, 'd'],
    );
    await again.close();
  });

  it('answers nothing that a crash could lose with the name of a file written anew', async (t) => {
    const path = newPath();
    let now = 0;
    const journal = await FileJournal.open(path, { now: () => now, keepMs: 10, slack: 20 });
    const before = await open(path, 'r');
    const sync = t.mock.method(await handles(path), 'sync', async function (this: FileHandle) {
      if ((await this.stat()).isDirectory()) throw new Error('the directory cannot be written');
      await this.datasync();
    });
    const answered: string[] = [];
    for (; now < 200; now += 1) {
      const done = journal.record(call(`k${now}`)).then(() => answered.push(`k${now}`));
      await done.catch((error: Error) => assert.match(error.message, /directory/));
    }
    // As long as the directory is not written, this is the file that is found after a crash.
    const found = await before.readFile('utf8');
    await before.close();
    assert.ok(answered.length > 20);
    assert.deepEqual(
      answered.filter((key) => !found.includes(`"${key}"`)),
      [],
    );
    sync.mock.restore();
    await journal.record(call('later'));
    await journal.close();
    const again = await FileJournal.open(path, { now: () => now });
    assert.deepEqual(again.find('later'), call('later'));
    await again.close();
  });

  it('has every key that a killed writer was told is recorded', async () => {
    const path = newPath();
    const told: string[] = [];
    for (let round = 1; round <= 4; round += 1) {
      const child = spawn(process.execPath, [
        join(import.meta.dirname, 'testing/endless-writer.ts'),
        path,
        String(round),
      ]);
      let output = '';
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          if (output.split('\n').length > 40 * round) resolve();
        });
      });
      child.kill('SIGKILL');
      await once(child, 'close');
      told.push(...output.split('\n').slice(1, -1));
    }
    const journal = await FileJournal.open(path, { now: Date.now, keepMs: 1e12 });
    assert.ok(told.length > 100);
    assert.deepEqual(
      told.filter((key) => journal.find(key) === undefined),
      [],
    );
    assert.equal(journal.epoch, 4);
    await journal.close();
  });
});

/** What all open files are made of. */
async function handles(path: string): Promise<FileHandle> {
  const file = await open(path, 'r');
  await file.close();
  return Object.getPrototypeOf(file) as FileHandle;
}
