/** The result for people. */
import type { Summary } from '../statistics.ts';
import { tableText } from '../table.ts';
import type { CreateReport } from './create.ts';

export function createText(report: CreateReport): string {
  const { cores, load1Before } = report.surroundings;
  return [
    `${report.rounds} rounds, interleaved; ${cores} cores, load ${load1Before.toFixed(1)} before.\n\n`,
    tableText([
      ['milliseconds until libvirt says that it runs', 'min', 'median', 'max', 'beside virsh'],
      ['virsh define + start (disk, seed, port exist)', ...figures(report.virshMs), 1],
      ['API start (define + start; the comparable part)', ...figures(report.startMs), report.startRatio],
      ['API create (clone, seed, port, define, start)', ...figures(report.createMs), report.createRatio],
    ]),
    '\n',
    tableText([
      ["steps by the manager's journal, ms", 'min', 'median', 'max'],
      ...report.steps.map(({ name, times }) => [name, ...figures(times)]),
    ]),
  ].join('');
}

function figures({ minMs, medianMs, maxMs }: Summary): number[] {
  return [minMs, medianMs, maxMs];
}
