import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measurePlacement } from './placement.ts';

test('a small cluster is measured whole: every VM finds a host in every round', async () => {
  const report = await measurePlacement({ hosts: 3, vms: 9, together: 5, rounds: 2 });
  assert.equal(report.placed, 5);
  assert.equal(report.readMs.count, 2);
  assert.ok(report.togetherMs.minMs >= report.readMs.minMs);
});
