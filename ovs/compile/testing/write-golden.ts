/** `node ovs/compile/testing/write-golden.ts`: writes the golden files anew, after a change that is meant. Read the difference. */
import { writeFileSync } from 'node:fs';
import { scenarios } from './golden-scenarios.ts';
import { goldenPath, goldenText } from './golden-text.ts';

for (const scenario of scenarios) writeFileSync(goldenPath(scenario), goldenText(scenario));
