import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { ScaleReport } from './scale.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'main.ts');

test('a small world is measured whole: every VM runs, and every figure is there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-test-'));
  try {
    const json = join(folder, 'scale.json');
    const sizes = ['--hosts=5', '--vms=20', '--rest-seconds=0', '--list-rounds=1', '--limit-minutes=1'];
    const { stdout } = await run(process.execPath, [program, ...sizes, `--json=${json}`], { timeout: 80_000 });
    assert.match(stdout, /^One manager, 5 hosts, 20 VMs;/);
    const report = JSON.parse(await readFile(json, 'utf8')) as ScaleReport;
    assert.deepEqual([report.joined.count, report.joined.reason], [5, null]);
    assert.deepEqual([report.connected.count, report.connected.reason], [5, null]);
    const { asked, answered, running, failed, incomplete } = report.creates;
    assert.deepEqual(
      { asked, answered, running, failed, incomplete },
      {
        asked: 20,
        answered: 20,
        running: 20,
        failed: 0,
        incomplete: null,
      },
    );
    assert.equal(report.creates.untilRunningMs.count, 20);
    assert.ok(report.creates.answersPerSecond > 0);
    for (const list of report.lists) assert.ok(list.count === 1 && list.medianMs > 0, list.name);
    for (const phase of report.phases) assert.ok(phase.managerRssMib > 0 && phase.agentsRssMib > 0, phase.phase);
    assert.ok(report.surroundings.cores > 0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
