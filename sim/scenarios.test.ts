import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playScenario, readScenario, scenarioNames } from './scenario.ts';

for (const name of scenarioNames()) {
  test(name.replaceAll('-', ' '), async () => {
    const { violation, expected, seen, trace } = await playScenario(readScenario(name));
    assert.deepEqual({ violation, ...seen }, { violation: undefined, ...expected }, trace.join('\n'));
  });
}
