/** Flows as a specification: by table, each with its purpose before it; what every bridge holds anyway is left out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from '../compile.ts';
import { purposeOf } from '../cookies.ts';
import { formatFlow, formatMeter } from '../../format-flow.ts';
import { table as tables } from '../pipeline.ts';
import { type Scenario, scenarios } from './golden-scenarios.ts';

const names = new Map(Object.entries(tables).map(([name, number]) => [number as number, name]));

export function goldenPath({ name }: Scenario): string {
  return join(import.meta.dirname, '..', 'golden', `${name}.txt`);
}

export function kept(scenario: Scenario): string {
  return readFileSync(goldenPath(scenario), 'utf8');
}

export function goldenText(scenario: Scenario): string {
  const { flows, meters } = compile(scenario.slice, scenario.local);
  const [bare] = scenarios as readonly [Scenario, ...Scenario[]];
  const always = new Set(scenario === bare ? [] : compile(bare.slice, bare.local).flows.map(formatFlow));
  const own = flows.filter((flow) => !always.has(formatFlow(flow)));
  const sections = [...new Set(own.map(({ table }) => table))].map((table) => {
    const lines = own
      .filter((flow) => flow.table === table)
      .map((flow) => {
        const purpose = (purposeOf(flow.cookie) ?? '?').padEnd(10);
        return `${purpose} ${formatFlow({ ...flow, cookie: 0n }).replace(`table=${table},`, '')}`;
      });
    return [`# table ${table}: ${names.get(table)}`, ...lines, ''].join('\n');
  });
  const limits = meters.length === 0 ? [] : ['# meters', ...meters.map(formatMeter), ''];
  return [`# ${scenario.says}`, '', ...sections, ...limits].join('\n');
}
