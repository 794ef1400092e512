/**
 * The program: one manager with many simulated hosts and VMs.
 *
 *   node bench/scale/main.ts [--hosts 1000] [--vms 20000] [--at-once 32] [--limit-minutes 15] [--rest-seconds 20]
 *     [--database sqlite|postgres://…] [--json bench/results/scale.json]
 *     [--cpu-profile FOLDER]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeResult } from '../surroundings.ts';
import { scaleText } from './report.ts';
import { runScale } from './scale.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    hosts: { ...text, default: '1000' },
    vms: { ...text, default: '20000' },
    'at-once': { ...text, default: '32' },
    'limit-minutes': { ...text, default: '15' },
    'rest-seconds': { ...text, default: '20' },
    'list-rounds': { ...text, default: '200' },
    'cpu-profile': text,
    database: { ...text, default: 'sqlite' },
    json: { ...text, default: join(import.meta.dirname, '../results/scale.json') },
  },
});

const report = await runScale({
  hosts: Number(values.hosts),
  vms: Number(values.vms),
  database: values.database,
  createsAtOnce: Number(values['at-once']),
  limitMs: Number(values['limit-minutes']) * 60_000,
  restMs: Number(values['rest-seconds']) * 1000,
  listRounds: Number(values['list-rounds']),
  cpuProfileFolder: values['cpu-profile'],
  progress: (phase) => process.stderr.write(`${new Date().toISOString()} ${phase}\n`),
});
process.stdout.write(scaleText(report));
await writeResult(values.json, report);
process.stdout.write(`\n${values.json}\n`);
