/** The results for people. */
import type { Summary } from '../statistics.ts';
import { tableText } from '../table.ts';
import type { ConvergenceReport } from './convergence.ts';
import type { ProgrammingReport } from './programming.ts';
import type { ThroughputReport } from './throughput.ts';

const timeHeads = ['n', 'min', 'median', 'max'];

export function programmingText(report: ProgrammingReport): string {
  const { options, flows, meters, compileMs, replaceMs, unchangedMs, oneAddressMs, oneFlowMs } = report;
  const { ports, rulesPerPort, remoteAddresses, groups } = options;
  return [
    `${ports} ports in ${groups} security groups, each with ${rulesPerPort} rules and ${remoteAddresses} remote addresses: ${flows} flows, ${meters} meters\n`,
    tableText([
      ['milliseconds', ...timeHeads],
      ['compile', ...figures(compileMs)],
      [`replace nothing by all (${report.flowsPerSecond} flows/s)`, ...figures(replaceMs)],
      ['ovs-ofctl --bundle replace-flows of the same', ...figures(report.bundleMs)],
      ['ovs-ofctl add-flow, one process for one flow', ...figures(report.processMs)],
      ['replace all by the same', ...figures(unchangedMs)],
      [`one remote address more (${report.oneAddressFlows} flows), compiling included`, ...figures(oneAddressMs)],
      ['one flow, by a known difference', ...figures(oneFlowMs)],
    ]),
    `a process for every flow would take ${report.processesSecondsExtrapolated} s (extrapolated from ${report.processMs.count})\n\n`,
  ].join('');
}

export function throughputText({ options, paths }: ThroughputReport): string {
  return [
    `one TCP stream through Open vSwitch in user space, ${options.rounds} rounds of ${options.streamMs} ms on each path\n`,
    tableText([
      ['path', 'Mbit/s', 'ratio', 'least', 'most', 'switch CPU ms/GiB', 'ratio'],
      ...paths.map(({ name, megabitsPerSecond, ratio, switchCpuMsPerGib, switchCpuRatio }) => [
        name,
        megabitsPerSecond,
        ratio.median,
        ratio.min,
        ratio.max,
        switchCpuMsPerGib,
        switchCpuRatio,
      ]),
    ]),
    '\n',
  ].join('');
}

export function convergenceText({ concerned, connected, runningVms, incomplete, ...times }: ConvergenceReport): string {
  return [
    `a security group's change over ${connected} hosts, ${concerned} of them with members (${runningVms} VMs)`,
    incomplete === null ? '\n' : `; INCOMPLETE: ${incomplete}\n`,
    tableText([
      ['milliseconds', ...timeHeads],
      ["the API's answer", ...figures(times.answerMs)],
      ['from the answer until half of the hosts have it', ...figures(times.halfMs)],
      ['from the answer until all of them have it', ...figures(times.allMs)],
    ]),
    '\n',
  ].join('');
}

function figures({ count, minMs, medianMs, maxMs }: Summary): number[] {
  return [count, minMs, medianMs, maxMs];
}
