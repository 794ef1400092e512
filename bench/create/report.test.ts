import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { summarize } from '../statistics.ts';
import { createText } from './report.ts';
import { stepTimes } from './step-times.ts';

test('many times become their middle, tail and ends', () => {
  const times = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.deepEqual(summarize(times), { count: 200, minMs: 1, medianMs: 100, p99Ms: 198, maxMs: 200 });
  assert.deepEqual(summarize([3.14]), { count: 1, minMs: 3.1, medianMs: 3.1, p99Ms: 3.1, maxMs: 3.1 });
  assert.equal(summarize([]).count, 0);
});

test("a task's steps come with the wait before them", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-test-'));
  try {
    const path = join(folder, 'state.db');
    const database = new DatabaseSync(path);
    database.exec(`create table tasks (id text, created_at integer);
      create table task_steps (task_id text, position integer, name text, started_at integer, finished_at integer);
      insert into tasks values ('t', 100);
      insert into task_steps values ('t', 1, 'start', 150, 500), ('t', 0, 'define', 110, 150), ('other', 0, 'x', 1, 2)`);
    database.close();
    assert.deepEqual(stepTimes(path, 't'), [
      { step: 'wait for the runner', ms: 10 },
      { step: 'define', ms: 40 },
      { step: 'start', ms: 350 },
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('the table says which figure is comparable', () => {
  const text = createText({
    surroundings: { at: '', node: '', cores: 2, cpuModel: '', memoryMib: 1, load1Before: 1.25 },
    rounds: 1,
    createMs: summarize([200]),
    virshMs: summarize([100]),
    startMs: summarize([110]),
    createRatio: 2,
    startRatio: 1.1,
    steps: [{ name: 'create: define', times: summarize([5]) }],
  });
  assert.match(text, /comparable part\) +110 +110 +110 +1\.1\n/);
  assert.match(text, /create: define +5 +5 +5\n/);
});
