/**
 * The program: power failures of a real host of a lab of its own (root, Debian's packages).
 *
 *   node bench/ha/main.ts [--bmc 20] [--lease 5] [--vms 2] [--json bench/results/ha.json]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeResult } from '../surroundings.ts';
import { runHa } from './ha.ts';
import { haText } from './report.ts';

const { values } = parseArgs({
  options: {
    bmc: { type: 'string', default: '20' },
    lease: { type: 'string', default: '5' },
    vms: { type: 'string', default: '2' },
    json: { type: 'string', default: join(import.meta.dirname, '../results/ha.json') },
  },
});

const asked = { bmc: Number(values.bmc), lease: Number(values.lease), vms: Number(values.vms) };
const report = await runHa(asked, (what) => process.stderr.write(`${what}\n`));
process.stdout.write(haText(report));
await writeResult(values.json, report);
process.stdout.write(`\n${values.json}\n`);
