/** Many power failures in a row, with a BMC that answers and by lease alone; each round the VMs go back to the host that fails. */
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { until } from '@kvasir/lab/processes.ts';
import { type Summary, summarize } from '../statistics.ts';
import { type Surroundings, surroundings } from '../surroundings.ts';
import { type Bed, withBed } from './bed.ts';
import { type Failure, fail, type Means } from './failure.ts';

export interface HaReport {
  readonly surroundings: Surroundings;
  readonly vms: number;
  readonly means: readonly MeansReport[];
}

export interface MeansReport {
  readonly means: Means;
  readonly failures: readonly Failure[];
  /** Each part by itself, then the whole time until the last domain runs, and until the last guest answers. */
  readonly parts: readonly { readonly name: string; readonly times: Summary }[];
}

export interface HaOptions {
  readonly bmc: number;
  readonly lease: number;
  readonly vms: number;
}

const victim = 'h2';

export async function runHa(options: HaOptions, progress: (what: string) => void): Promise<HaReport> {
  const beside = surroundings();
  progress('lab');
  return withBed(async (bed) => {
    const vmIds: string[] = [];
    for (let at = 1; at <= options.vms; at += 1) vmIds.push(await bed.createVm(`bench-${at}`, victim));
    await bed.quiet();
    await bed.settled();
    const done: Failure[] = [];
    const rounds = [...Array<Means>(options.bmc).fill('bmc'), ...Array<Means>(options.lease).fill('lease')];
    for (const [at, means] of rounds.entries()) {
      progress(`power failure ${at + 1} of ${rounds.length} (${means})`);
      await goBack(bed, vmIds);
      const failure = await fail(bed, means, victim, vmIds);
      progress(`running elsewhere after ${Math.round(failure.runningMs)} ms`);
      done.push(failure);
    }
    const reports = (['bmc', 'lease'] as const).map((means) => reportOf(means, done));
    return { surroundings: beside, vms: options.vms, means: reports };
  });
}

export function reportOf(means: Means, all: readonly Failure[]): MeansReport {
  const failures = all.filter((failure) => failure.means === means);
  const part = (name: string, of: (failure: Failure) => number) => ({ name, times: summarize(failures.map(of)) });
  return {
    means,
    failures,
    parts: [
      part('detection', ({ detectedMs }) => detectedMs),
      part('proof', ({ detectedMs, provenMs }) => provenMs - detectedMs),
      part('placement', ({ provenMs, placedMs }) => placedMs - provenMs),
      part('start', ({ placedMs, runningMs }) => runningMs - placedMs),
      part('guest boots', ({ runningMs, guestMs }) => guestMs - runningMs),
      part('power failure to first domain running', ({ firstRunningMs }) => firstRunningMs),
      part('power failure to all domains running', ({ runningMs }) => runningMs),
      part('power failure to all guests answering', ({ guestMs }) => guestMs),
    ],
  };
}

/** Live, for what runs goes on. */
async function goBack({ client }: Bed, vmIds: readonly string[]): Promise<void> {
  for (const vmId of vmIds) {
    const params = { vm: vmId };
    await until(`VM ${vmId} without a task`, 60_000, async () => {
      const vm = await client.call(vmOperations.get, { params });
      return vm.taskId === null && vm.state === 'running';
    });
    if ((await client.call(vmOperations.get, { params })).hostName === victim) continue;
    const { id } = await client.call(vmOperations.migrate, { params, body: { host: victim } });
    const task = await until(`migration of VM ${vmId}`, 120_000, async () => {
      const now = await client.call(taskOperations.get, { params: { task: id } });
      return ['succeeded', 'failed', 'cancelled', 'parked'].includes(now.state) ? now : undefined;
    });
    if (task.state !== 'succeeded') throw new Error(`migration ${task.state}: ${task.error?.message ?? ''}`);
  }
}
