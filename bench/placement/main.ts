/**
 * The program: hosts for all VMs of a dead host, in a large cluster.
 *
 *   node bench/placement/main.ts [--hosts 1000] [--vms 20000] [--together 100] [--rounds 20]
 *     [--json bench/results/placement.json]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeResult } from '../surroundings.ts';
import { tableText } from '../table.ts';
import { measurePlacement } from './placement.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    hosts: { ...text, default: '1000' },
    vms: { ...text, default: '20000' },
    together: { ...text, default: '100' },
    rounds: { ...text, default: '20' },
    json: { ...text, default: join(import.meta.dirname, '../results/placement.json') },
  },
});

const report = await measurePlacement({
  hosts: Number(values.hosts),
  vms: Number(values.vms),
  together: Number(values.together),
  rounds: Number(values.rounds),
});
const { options, readMs, togetherMs, processorMs } = report;
process.stdout.write(
  tableText([
    [`${options.hosts} hosts, ${options.vms} VMs; milliseconds`, 'min', 'median', 'max'],
    ['reading the cluster', readMs.minMs, readMs.medianMs, readMs.maxMs],
    [`reading it and placing ${options.together} VMs`, togetherMs.minMs, togetherMs.medianMs, togetherMs.maxMs],
    ['processor time of that', processorMs.minMs, processorMs.medianMs, processorMs.maxMs],
  ]),
);
await writeResult(values.json, report);
process.stdout.write(`\n${values.json}\n`);
