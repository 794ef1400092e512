/** Storages that hang keep threads of file access for as long as they do; the agent has enough for all else. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { withDirectory } from './testing.ts';

const pools = 12;
const module = `const [directory, driver, threads] = process.argv.slice(1);
  await import(threads);
  const { readdirSync } = await import('node:fs');
  const { readFile } = await import('node:fs/promises');
  const { DirectoryStorageDriver } = await import(driver);
  const storage = new DirectoryStorageDriver({ hostId: 'h1', seedDirectory: directory, stateDirectory: directory });
  void storage.applyPools(readdirSync(directory).map((poolId) =>
    ({ poolId, name: poolId, kind: 'directory', path: directory + '/' + poolId, shared: true, initialize: false })));
  setTimeout(async () => process.stdout.write((await readFile('/proc/self/comm')).length > 0 ? 'works' : ''), 500);`;

it('an agent whose pools all hang still reads and writes its own files', async () => {
  await withDirectory(async (directory) => {
    for (let made = 0; made < pools; made += 1) {
      const path = join(directory, randomUUID());
      mkdirSync(path);
      // Whoever opens it waits.
      execFileSync('mkfifo', [join(path, '.kvasir-pool')]);
    }
    const modules = ['driver.ts', '../../file-threads.ts'].map((name) => join(import.meta.dirname, name));
    const words = ['--input-type=module', '-e', module, directory, ...modules];
    const env = { PATH: process.env['PATH'] };
    const agent = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'], env });
    try {
      const [said] = await Promise.race([agent.stdout.take(1).toArray(), delay(10_000, ['nothing'], { ref: false })]);
      assert.equal(String(said), 'works');
    } finally {
      agent.kill('SIGKILL');
    }
  });
});
