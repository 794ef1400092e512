/**
 * The program: the distributed switch. Root; needs Open vSwitch. Without names all three parts.
 *
 *   node bench/network/main.ts [programming] [throughput] [convergence]
 *     [--ports 200] [--rules 20] [--addresses 500] [--groups 1,200] [--rounds 10] [--processes 50]
 *     [--stream-rounds 12] [--stream-ms 1500]
 *     [--hosts 1000] [--vms 1000] [--changes 10] [--limit-minutes 5] [--cpu-profile FOLDER]
 *     [--json bench/results/network.json]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { surroundings, writeResult } from '../surroundings.ts';
import { measureConvergence } from './convergence.ts';
import { measureProgramming, type ProgrammingReport } from './programming.ts';
import { convergenceText, programmingText, throughputText } from './report.ts';
import { measureThroughput } from './throughput.ts';

const text = { type: 'string' } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ports: { ...text, default: '200' },
    rules: { ...text, default: '20' },
    addresses: { ...text, default: '500' },
    groups: { ...text, default: '1,200' },
    rounds: { ...text, default: '10' },
    processes: { ...text, default: '50' },
    'stream-rounds': { ...text, default: '12' },
    'stream-ms': { ...text, default: '1500' },
    hosts: { ...text, default: '1000' },
    vms: { ...text, default: '1000' },
    changes: { ...text, default: '10' },
    'limit-minutes': { ...text, default: '5' },
    'cpu-profile': text,
    json: { ...text, default: join(import.meta.dirname, '../results/network.json') },
  },
});
const wanted = (part: string): boolean => positionals.length === 0 || positionals.includes(part);
const result: Record<string, object> = { surroundings: surroundings() };

if (wanted('programming')) {
  const reports: ProgrammingReport[] = [];
  for (const groups of values.groups.split(',').map(Number)) {
    const report = await measureProgramming({
      ports: Number(values.ports),
      rulesPerPort: Number(values.rules),
      remoteAddresses: Number(values.addresses),
      groups,
      rounds: Number(values.rounds),
      processes: Number(values.processes),
    });
    process.stdout.write(programmingText(report));
    reports.push(report);
  }
  result['programming'] = reports;
}
if (wanted('throughput')) {
  const options = { rounds: Number(values['stream-rounds']), streamMs: Number(values['stream-ms']) };
  const report = await measureThroughput(options);
  process.stdout.write(throughputText(report));
  result['throughput'] = report;
}
if (wanted('convergence')) {
  const report = await measureConvergence({
    hosts: Number(values.hosts),
    vms: Number(values.vms),
    rounds: Number(values.changes),
    limitMs: Number(values['limit-minutes']) * 60_000,
    cpuProfileFolder: values['cpu-profile'],
    progress: (phase) => process.stderr.write(`${new Date().toISOString()} ${phase}\n`),
  });
  process.stdout.write(convergenceText(report));
  result['convergence'] = report;
}
await writeResult(values.json, result);
process.stdout.write(`${values.json}\n`);
