/** The result for people. */
import type { Summary } from '../statistics.ts';
import { tableText } from '../table.ts';
import type { Reached } from './agents-process.ts';
import type { ScaleReport } from './scale.ts';

const timeHeads = ['n', 'min', 'median', 'p99', 'max'];

export function scaleText({ surroundings, joined, connected, creates, lists, phases, ...rest }: ScaleReport): string {
  const { cores, load1Before } = surroundings;
  return [
    `One manager, ${connected.count} hosts, ${creates.running} VMs; ${cores} cores, load ${load1Before.toFixed(1)} before.\n`,
    `joined in ${joined.seconds} s${missing(joined)}, connected in ${connected.seconds} s${missing(connected)}\n`,
    `created: ${creates.answersPerSecond} answers/s, ${creates.runningPerSecond} running/s, ${creates.failed} failed`,
    creates.incomplete === null ? '\n' : `; INCOMPLETE: ${creates.incomplete}\n`,
    `agents: ${rest.agentRssMib} MiB each, their VMs included\n\n`,
    tableText([
      ['milliseconds at the client', ...timeHeads],
      ['create: API answer', ...figures(creates.answerMs)],
      ['create: until running', ...figures(creates.untilRunningMs)],
      ['vm list while VMs are created', ...figures(creates.listMeanwhileMs)],
      ...lists.map((list) => [list.name, ...figures(list)]),
    ]),
    '\n',
    tableText([
      [
        'phase',
        's',
        'manager CPU %',
        'RSS MiB',
        'loop p99 ms',
        'loop max ms',
        'database MiB',
        'agents CPU %',
        'RSS MiB',
      ],
      ...phases.map((phase) => [
        phase.phase,
        phase.seconds,
        phase.managerCpuPercent,
        phase.managerRssMib,
        phase.loopDelayP99Ms,
        phase.loopDelayMaxMs,
        phase.databaseMib,
        phase.agentsCpuPercent,
        phase.agentsRssMib,
      ]),
    ]),
  ].join('');
}

function figures({ count, minMs, medianMs, p99Ms, maxMs }: Summary): number[] {
  return [count, minMs, medianMs, p99Ms, maxMs];
}

function missing({ count, reason }: Reached): string {
  return reason === null ? '' : ` (INCOMPLETE, ${count}: ${reason})`;
}
