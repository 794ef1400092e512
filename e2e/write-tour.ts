/** `node e2e/write-tour.ts`: takes the README's tour and writes what its commands print now below them. Needs root, like the demo. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutDirectory } from '@kvasir/lab/layout.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { Tour, tourSteps } from './lab/testing/tour.ts';

const file = join(checkoutDirectory, 'README.md');
let readme = readFileSync(file, 'utf8');
const tour = new Tour(testLabName('w'));
try {
  await tour.run('./kvasir demo');
  const outputs: string[] = [];
  for (const step of tourSteps(readme)) outputs.push((await tour.run(step.command)).output);
  for (const [index, step] of [...tourSteps(readme).entries()].reverse()) {
    readme = readme.slice(0, step.start) + outputs[index] + readme.slice(step.end);
  }
  writeFileSync(file, readme);
} finally {
  await tour.end();
}
