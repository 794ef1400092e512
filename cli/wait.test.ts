/** Task commands with and without `--wait`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import { startFakeManager, taken } from './testing/fake-manager.ts';
import { runCli } from './testing/run-cli.ts';

const taskId = '01890000-0000-7000-8000-000000000001';
const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`;

function task(state: Task['state'], percent: number, error: Task['error'] = null): Task {
  return {
    id: taskId,
    kind: 'vm-create',
    state,
    target: { kind: 'vm', id: taskId, name: 'web' },
    projectId: null,
    userId: null,
    progress: {
      percent,
      step: state === 'running' ? 'define' : null,
      bytesDone: null,
      bytesTotal: null,
      downtimeMs: null,
    },
    steps: [],
    cancellable: true,
    error,
    createdAt: at(0),
    startedAt: at(1),
    finishedAt: state === 'running' ? null : at(4),
  };
}

test('without --wait: the id of the task, and how to watch it', async () => {
  await using manager = await startFakeManager();
  manager.answer('vm.create', () => task('queued', 0));
  const { code, stdout, stderr } = await runCli(['vm', 'create', 'web'], { env: { KVASIR_URL: manager.url } });
  assert.equal(code, 0);
  assert.equal(stdout, `task ${taskId}: vm-create web queued\n`);
  assert.equal(stderr, `watch it with: kvasir task watch ${taskId}\n`);
});

test('--wait goes on over a lost connection and a manager without leader, and ends by the outcome', async () => {
  await using manager = await startFakeManager();
  const told = [task('running', 40), 'lost', new KvasirError('not-leader'), task('succeeded', 100)];
  manager.answer('vm.create', () => task('queued', 0));
  manager.answer('task.get', (_asked, response) => {
    const next = told.shift();
    if (next !== 'lost') return next;
    response.destroy();
    return taken;
  });
  const { code, stdout, stderr } = await runCli(['vm', 'create', 'web', '--wait'], {
    env: { KVASIR_URL: manager.url },
  });
  assert.equal(stdout, 'vm-create web: succeeded in 3.0 s\n');
  assert.equal(code, 0);
  assert.match(stderr, /vm-create web: running \(define\) 40 %\n/);
  assert.match(stderr, /the manager does not answer; asking again\n/);
  assert.equal(told.length, 0);
});

test('a failed task ends with its own error and 1, also for programs', async () => {
  await using manager = await startFakeManager();
  const failed = task('failed', 10, {
    code: 'no-host-fits',
    message: 'No host can take this VM: h2: 96 MiB free of 128 asked',
  });
  manager.answer('task.get', () => failed);
  const { code, stdout, stderr } = await runCli(['task', 'watch', taskId, '-o', 'json'], {
    env: { KVASIR_URL: manager.url },
  });
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(stdout), failed);
  assert.match(stderr, /\nerror: No host can take this VM: h2: 96 MiB free of 128 asked\n$/);
});

test('on a terminal a bar is drawn', async () => {
  await using manager = await startFakeManager();
  const told = [task('running', 50), task('succeeded', 100)];
  manager.answer('task.get', () => told.shift());
  const { stderr } = await runCli(['task', 'watch', taskId], { env: { KVASIR_URL: manager.url }, terminal: true });
  assert.match(stderr, /\[█{12}░{12}\] {2}50 % vm-create web: running \(define\)/);
});

test('interrupting stops the watching and says that the task goes on', async () => {
  await using manager = await startFakeManager();
  const interruption = new AbortController();
  manager.answer('task.get', () => {
    interruption.abort(new DOMException('interrupted', 'AbortError'));
    return task('running', 50);
  });
  const { code, stderr } = await runCli(['task', 'watch', taskId], {
    env: { KVASIR_URL: manager.url },
    interrupted: interruption.signal,
  });
  assert.equal(code, 130);
  assert.match(stderr, /the task goes on; watch it with: kvasir task watch/);
});
