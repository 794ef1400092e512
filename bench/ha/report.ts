/** The result for people. */
import { tableText } from '../table.ts';
import type { HaReport } from './ha.ts';

const titles = { bmc: 'with a BMC', lease: 'by lease alone (the BMC is dead too)' };

export function haText({ surroundings, vms, means }: HaReport): string {
  const { cores, load1Before } = surroundings;
  const head = `${vms} VMs on the host that fails; ${cores} cores, load ${load1Before.toFixed(1)} before.\n`;
  const tables = means
    .filter(({ failures }) => failures.length > 0)
    .map(
      ({ means: by, failures, parts }) =>
        `\n${failures.length} power failures ${titles[by]}\n${tableText([
          ['milliseconds', 'min', 'median', 'worst'],
          ...parts.map(({ name, times }) => [name, times.minMs, times.medianMs, times.maxMs]),
        ])}`,
    );
  return [head, ...tables].join('');
}
