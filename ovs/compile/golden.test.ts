/** The flows of each scenario are those in `golden/`, which read as the specification of the pipeline. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scenarios } from './testing/golden-scenarios.ts';
import { goldenText, kept } from './testing/golden-text.ts';

for (const scenario of scenarios) {
  test(`the flows of '${scenario.name}' (node ovs/compile/testing/write-golden.ts writes them anew)`, () => {
    assert.equal(goldenText(scenario), kept(scenario));
  });
}

test('no golden file is left over', () => {
  const files = readdirSync(join(import.meta.dirname, 'golden')).sort();
  assert.deepEqual(files, scenarios.map(({ name }) => `${name}.txt`).sort());
});
