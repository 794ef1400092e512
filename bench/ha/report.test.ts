import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Failure } from './failure.ts';
import { reportOf } from './ha.ts';
import { haText } from './report.ts';

const failure: Failure = {
  means: 'bmc',
  detectedMs: 3000,
  provenMs: 3500,
  placedMs: 3520,
  firstRunningMs: 4100,
  runningMs: 4500,
  guestMs: 9000,
};

test('the whole time is told in its parts', () => {
  const report = reportOf('bmc', [failure, { ...failure, means: 'lease' }]);
  assert.equal(report.failures.length, 1);
  assert.deepEqual(
    report.parts.map(({ times }) => times.medianMs),
    [3000, 500, 20, 980, 4500, 4100, 4500, 9000],
  );
});

test('a means without a failure has no table', () => {
  const surroundings = { at: '', node: '', cores: 2, cpuModel: '', memoryMib: 1, load1Before: 1 };
  const text = haText({ surroundings, vms: 2, means: [reportOf('bmc', [failure]), reportOf('lease', [])] });
  assert.match(text, /1 power failures with a BMC/);
  assert.match(text, /all domains running +4500 +4500 +4500\n/);
  assert.ok(!text.includes('lease'));
});
