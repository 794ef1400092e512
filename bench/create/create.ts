/**
 * From the request to a running domain, beside `virsh define` and `virsh start` of the same XML on the same host, in pairs:
 * each round makes a VM through the API, then lets virsh define and start that very domain with that very disk, then starts
 * it through the API once more. So three times come out of every round:
 *
 * - create: API call -> running; with the volume (a linked clone), the cloud-init seed and the port, which virsh does not make
 * - virsh: define + start as two processes, disk, seed and port being there
 * - start: API call -> running of the existing VM: the manager defines and starts it, the work that compares with virsh
 */
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { until } from '@kvasir/lab/processes.ts';
import { type Summary, summarize } from '../statistics.ts';
import { type Surroundings, surroundings } from '../surroundings.ts';
import { type Bed, withBed } from './bed.ts';
import { stepTimes } from './step-times.ts';

export interface CreateReport {
  readonly surroundings: Surroundings;
  readonly rounds: number;
  readonly createMs: Summary;
  readonly virshMs: Summary;
  readonly startMs: Summary;
  /** Medians: API create / virsh, and API start / virsh. */
  readonly createRatio: number;
  readonly startRatio: number;
  /** Of create and of start, by the manager's journal. */
  readonly steps: readonly { readonly name: string; readonly times: Summary }[];
}

interface Round {
  readonly createMs: number;
  readonly virshMs: number;
  readonly startMs: number;
  readonly steps: readonly (readonly [name: string, ms: number])[];
}

const definition = '/run/kvasir-bench.xml';

export async function runCreate(rounds: number, progress: (what: string) => void): Promise<CreateReport> {
  const beside = surroundings();
  progress('lab');
  return withBed(async (bed) => {
    const done: Round[] = [];
    // The first one warms caches of the image and of the programs, and is not counted.
    for (let round = 0; round <= rounds; round += 1) {
      progress(`round ${round} of ${rounds}`);
      const times = await oneRound(bed, `bench-${round}`);
      if (round > 0) done.push(times);
    }
    const createMs = summarize(done.map((round) => round.createMs));
    const virshMs = summarize(done.map((round) => round.virshMs));
    const startMs = summarize(done.map((round) => round.startMs));
    const byStep = Map.groupBy(
      done.flatMap((round) => round.steps),
      ([name]) => name,
    );
    return {
      surroundings: beside,
      rounds,
      createMs,
      virshMs,
      startMs,
      createRatio: ratio(createMs, virshMs),
      startRatio: ratio(startMs, virshMs),
      steps: [...byStep].map(([name, steps]) => ({ name, times: summarize(steps.map(([, ms]) => ms)) })),
    };
  });
}

async function oneRound(bed: Bed, name: string): Promise<Round> {
  const { client, host, watch, done, databaseFile } = bed;
  const began = performance.now();
  const body = { name, image: 'tiny', network: 'default', cpus: 1, memoryMib: 128 };
  const create = await client.call(vmOperations.create, { body });
  const vmId = create.target.id;
  const createMs = (await watch.started(vmId)) - began;
  await done(create.id);

  await host
    .exec(['virsh', 'dumpxml', '--inactive', vmId])
    .then((xml) => host.exec(['tee', definition], { input: xml }));
  const params = { vm: vmId };
  const stop = await client.call(vmOperations.stop, { params, body: { force: true } });
  await done(stop.id);
  await host.exec(['virsh', 'undefine', vmId]);
  watch.forget(vmId);
  const virshMs = await byVirsh(bed, vmId);

  await host.exec(['virsh', 'destroy', vmId]);
  await until('the manager sees the VM stopped', 30_000, async () => {
    const vm: Vm = await client.call(vmOperations.get, { params });
    return vm.state === 'stopped' && vm.taskId === null;
  });
  watch.forget(vmId);
  const startBegan = performance.now();
  const start = await client.call(vmOperations.start, { params, body: {} });
  const startMs = (await watch.started(vmId)) - startBegan;
  await done(start.id);
  const steps = [
    ...stepTimes(databaseFile, create.id).map(({ step, ms }) => [`create: ${step}`, ms] as const),
    ...stepTimes(databaseFile, start.id).map(({ step, ms }) => [`start: ${step}`, ms] as const),
  ];
  const removal = await client.call(vmOperations.delete, { params, query: { purge: true, force: true } });
  await done(removal.id);
  return { createMs, virshMs, startMs, steps };
}

/** The two processes are started in the host's namespaces by nsenter, as a login on the host would have them. */
async function byVirsh({ host, watch }: Bed, vmId: string): Promise<number> {
  const began = performance.now();
  await host.exec(['virsh', 'define', definition]);
  await host.exec(['virsh', 'start', vmId]);
  return (await watch.started(vmId)) - began;
}

function ratio(ours: Summary, theirs: Summary): number {
  return Math.round((100 * ours.medianMs) / theirs.medianMs) / 100;
}
