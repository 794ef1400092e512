import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
