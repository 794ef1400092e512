import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';

/** Loads a program without running it, reads much at once, and says by how many threads. */
const reads = `const { readdirSync, readFileSync, promises } = await import('node:fs');
  await import(process.argv[1]);
  await Promise.all(Array.from({ length: 1000 }, () => promises.readFile('/proc/self/stat')));
  const names = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
  process.stdout.write(String(names.filter((name) => name === 'libuv-worker').length));
  process.exit(0);`;

async function threadsOf(program: string, env: NodeJS.ProcessEnv = {}): Promise<number> {
  const words = ['--input-type=module', '-e', reads, join(import.meta.dirname, program)];
  const { stdout } = await promisify(execFile)(process.execPath, words, { env: { PATH: process.env['PATH'], ...env } });
  return Number(stdout);
}

for (const program of ['main.ts', 'keeper.ts']) {
  it(`${program} has threads for more storage that hangs than a host has pools`, async () => {
    assert.equal(await threadsOf(program), 128);
    assert.equal(await threadsOf(program, { UV_THREADPOOL_SIZE: '9' }), 9);
  });
}
