/**
 * The program: creating a VM beside virsh, on a real host of a lab of its own (root, Debian's packages).
 *
 *   node bench/create/main.ts [--rounds 10] [--json bench/results/create.json]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeResult } from '../surroundings.ts';
import { runCreate } from './create.ts';
import { createText } from './report.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    json: { type: 'string', default: join(import.meta.dirname, '../results/create.json') },
  },
});

const report = await runCreate(Number(values.rounds), (what) => process.stderr.write(`${what}\n`));
process.stdout.write(createText(report));
await writeResult(values.json, report);
process.stdout.write(`\n${values.json}\n`);
