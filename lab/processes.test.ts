import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import {
  endAll,
  endProcesses,
  identify,
  innermostPid,
  isRunning,
  parseRunState,
  parseStartTime,
  processesWithEnvironment,
  signal,
} from './processes.ts';

const stat =
  '4242 (a) b (c) S 1 4242 4242 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 987654 1000 200 18446744073709551615';

describe('process identity', () => {
  it('reads the start time and the state behind a name with brackets and blanks', () => {
    assert.equal(parseStartTime(stat), '987654');
    assert.equal(parseRunState(stat), 'S');
    assert.equal(parseStartTime(''), undefined);
  });

  it('knows itself, and not another process of the same pid', () => {
    const self = identify(process.pid);
    assert.equal(isRunning(self), true);
    assert.equal(isRunning({ pid: process.pid, startTime: '1' }), false);
    assert.equal(signal({ pid: process.pid, startTime: '1' }, 'SIGKILL'), false);
    assert.equal(innermostPid(process.pid), process.pid);
  });

  it('ends a process that ignores SIGTERM, found by its environment', async () => {
    const mark = `${process.pid}-${performance.now()}`;
    const child = spawn(
      process.execPath,
      ['-e', "process.on('SIGTERM',()=>{});console.log('up');setInterval(()=>{},1e6)"],
      {
        env: { KVASIR_TEST_MARK: mark },
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await once(child.stdout, 'data');
    const found = processesWithEnvironment('KVASIR_TEST_MARK', mark);
    assert.deepEqual(found, [identify(child.pid!)]);
    await endProcesses(found, 50);
    assert.equal(isRunning(found[0]), false);
  });

  it('ends also what a process started while it was being ended', async () => {
    const mark = `${process.pid}-${performance.now()}`;
    const program = `const { spawn } = require('node:child_process');
      process.on('SIGTERM', () => { spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref(); process.exit(); });
      console.log('up');
      setInterval(() => {}, 1e6);`;
    const env = { PATH: process.env['PATH'], KVASIR_TEST_MARK: mark };
    const child = spawn(process.execPath, ['-e', program], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    const marked = () => processesWithEnvironment('KVASIR_TEST_MARK', mark);
    try {
      await endAll(marked, 5_000);
      assert.deepEqual(marked(), []);
    } finally {
      for (const left of marked()) signal(left, 'SIGKILL');
    }
  });
});
