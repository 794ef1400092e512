import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runPlan } from './run.ts';
import { makePlan } from './schedule/make-plan.ts';
import { plantedBugs } from './testing/planted-bugs.ts';

/** How many seeds it may take. */
const bound = 80;

describe('the simulation finds a planted bug', () => {
  for (const { name, planted, plan } of plantedBugs) {
    test(name, async () => {
      for (let seed = 1; seed <= bound; seed++) {
        const made = makePlan(seed);
        const { violation } = await runPlan(plan?.(made) ?? made, { planted });
        if (violation === undefined) continue;
        console.log(`${name}: seed ${seed}: ${violation.kind}: ${violation.what}`);
        return;
      }
      assert.fail(`${bound} seeds held`);
    });
  }
});
