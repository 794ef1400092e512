/** The README's tour does what it shows. Its output is compared but for ids, times, numbers and the host that was chosen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkoutDirectory } from '@kvasir/lab/layout.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { tracesOf } from './testing/machine-snapshot.ts';
import { normalized, Tour, tourSteps } from './testing/tour.ts';

const steps = tourSteps(readFileSync(join(checkoutDirectory, 'README.md'), 'utf8'));
const labName = testLabName('r');

describe('the tour of the README', { timeout: 400_000 }, () => {
  const tour = new Tour(labName);

  before(async () => {
    const { output, exitCode } = await tour.run('./kvasir demo');
    assert.equal(exitCode, 0, output);
    assert.match(output, /Kvasir runs at http:\/\/127\.0\.0\.1:\d+/);
  });
  after(() => tour.end());

  it('has the steps that matter', () => {
    assert.ok(steps.length >= 10, `only ${steps.length} commands found`);
  });

  for (const step of steps) {
    it(step.command, async () => {
      const { output, exitCode } = await tour.run(step.command);
      assert.deepEqual(normalized(output), normalized(step.output));
      assert.equal(exitCode, step.output.startsWith('error:') ? 1 : 0);
    });
  }

  it('leaves nothing on the machine', () => {
    assert.deepEqual(tracesOf(labName), []);
  });
});
