import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { ConvergenceReport } from './convergence.ts';
import type { ProgrammingReport } from './programming.ts';
import type { ThroughputReport } from './throughput.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'main.ts');

interface Result {
  readonly programming: readonly ProgrammingReport[];
  readonly throughput: ThroughputReport;
  readonly convergence: ConvergenceReport;
}

test('a small switch is measured whole: flows arrive, streams pass, changes reach all hosts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kvasir-bench-test-'));
  try {
    const json = join(folder, 'network.json');
    const flows = ['--ports=4', '--rules=3', '--addresses=5', '--groups=1,4', '--rounds=2', '--processes=2'];
    const streams = ['--stream-rounds=1', '--stream-ms=50'];
    const hosts = ['--hosts=3', '--vms=3', '--changes=2', '--limit-minutes=1'];
    const sizes = [...flows, ...streams, ...hosts, `--json=${json}`];
    const { stdout } = await run(process.execPath, [program, ...sizes], { timeout: 80_000 });
    assert.match(stdout, /4 ports in 4 security groups, each with 3 rules and 5 remote addresses/);
    const { programming, throughput, convergence } = JSON.parse(await readFile(json, 'utf8')) as Result;
    const [together, apart] = programming;
    assert.ok(together!.flows > 0 && apart!.flows > together!.flows, 'groups of their own take more flows');
    for (const { oneAddressFlows, replaceMs, bundleMs, processMs } of programming) {
      assert.ok(oneAddressFlows > 0);
      assert.deepEqual([replaceMs.count, bundleMs.count, processMs.count], [2, 2, 2]);
    }
    assert.equal(throughput.paths.length, 5);
    for (const { name, megabitsPerSecond, ratio } of throughput.paths)
      assert.ok(megabitsPerSecond > 0 && ratio.median > 0, name);
    const { connected, concerned, incomplete, allMs } = convergence;
    assert.deepEqual([connected, concerned, incomplete, allMs.count], [3, 3, null, 2]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
