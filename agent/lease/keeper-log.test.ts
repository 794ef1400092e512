import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { keeperLogFile, limitKeeperLog } from './keeper-log.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-log-'));
after(() => rmSync(root, { recursive: true, force: true }));
const mib = 1024 * 1024;

/** Says a number of lines of a hundred bytes, a thousand at a time: what is said while the file is laid aside is lost. */
const says = `const [module, path, count] = process.argv.slice(1);
  const { KeeperLog } = await import(module);
  const { statSync } = await import('node:fs');
  const { setImmediate } = await import('node:timers/promises');
  const log = new KeeperLog(path);
  for (let n = 0; n < Number(count); n += 1) {
    log.say(('line ' + n + ' ').padEnd(65, '.'));
    while (n % 1000 === 0 && statSync(path).size > 1024 * 1024) {
      log.say('again');
      await setImmediate();
    }
  }`;

it('a keeper that says much fills no disk, and what it said last can be read', async () => {
  const path = keeperLogFile(root);
  const file = openSync(path, 'a', 0o600);
  const words = ['--input-type=module', '-e', says, join(import.meta.dirname, 'keeper-log.ts'), path, '60000'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', file] });
  closeSync(file);
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  assert.ok(statSync(path).size < 2 * mib, `${statSync(path).size} bytes`);
  assert.ok(statSync(`${path}.before`).size < 2 * mib);
  assert.match(readFileSync(path, 'utf8') + readFileSync(`${path}.before`, 'utf8'), /line 59\d\d\d /);
});

it('a log that is short stays as it is', async () => {
  const path = join(root, 'short.log');
  writeFileSync(path, 'x'.repeat(mib));
  await limitKeeperLog(path);
  assert.equal(statSync(path).size, mib);
});

it('is emptied also where there is no room to lay it aside', async () => {
  const path = join(root, 'long.log');
  writeFileSync(path, 'x'.repeat(mib + 1));
  // What cannot be written over, as on a disk that is full.
  mkdirSync(`${path}.before`);
  await limitKeeperLog(path);
  assert.equal(statSync(path).size, 0);
});
