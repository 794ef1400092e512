import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runPlan } from './run.ts';
import { makePlan } from './schedule/make-plan.ts';

test('the same seed gives the same world, to the letter', async () => {
  for (const seed of [3, 18]) {
    const first = await runPlan(makePlan(seed));
    const again = await runPlan(makePlan(seed));
    assert.deepEqual(again.trace, first.trace);
    assert.equal(again.hash, first.hash);
  }
});

test('another seed gives another world', async () => {
  assert.notEqual((await runPlan(makePlan(1))).hash, (await runPlan(makePlan(2))).hash);
});
