/**
 * The manager and the agents may be killed at any moment: every task ends or is undone, nothing is left behind or lost, no VM
 * runs twice, and one that ran keeps running. Each point is a kill -9 in the middle of a real create, live migration or delete.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { UnreachableError } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { isRunning, until } from '@kvasir/lab/processes.ts';
import { settledCensus } from './testing/census.ts';
import { useCloud } from './testing/cloud.ts';
import {
  agentFinished,
  describeMoment,
  isOver,
  killAt,
  type Moment,
  stepTimes,
  type StepTimes,
  type Victim,
} from './testing/crash-points.ts';
import { booted, guestShell } from './testing/guest.ts';
import { qemuProcesses } from './testing/host-findings.ts';
import { closeHypervisors, connectHypervisors, type Hypervisors } from './testing/hypervisors.ts';
import { RunningOnceWatch } from './testing/running-once.ts';
import { TaskDatabase } from './testing/task-database.ts';

type Operation = 'create' | 'migrate' | 'delete';
type Whom = 'manager' | 'source' | 'destination';
type Point = { readonly kill: Whom; readonly during: Operation; readonly moment: Moment };

const acknowledged: Moment = { at: 'acknowledged' };
const ended: Moment = { at: 'ended' };
const step = (name: string, share?: number): Moment => ({
  at: 'step',
  step: name,
  ...(share === undefined ? {} : { share }),
});
const unheard = (name: string): Moment => ({ at: 'unheard', step: name });
const points = (kill: Whom, during: Operation, moments: readonly Moment[]): Point[] =>
  moments.map((moment) => ({ kill, during, moment }));

const managerPoints = {
  create: points('manager', 'create', [
    acknowledged,
    step('volumes'),
    unheard('volumes'),
    step('define', 0.5),
    unheard('define'),
    step('start', 0.5),
    unheard('start'),
  ]),
  migrate: points('manager', 'migrate', [
    acknowledged,
    step('prepare', 0.5),
    step('send'),
    step('send', 0.5),
    step('send', 0.8),
    unheard('send'),
    step('forget'),
  ]),
  delete: points('manager', 'delete', [
    acknowledged,
    unheard('stop'),
    step('undefine'),
    unheard('undefine'),
    step('volumes', 0.5),
    ended,
  ]),
};

/** On a create and a delete the source is the VM's host. */
const agentPoints = {
  create: points('source', 'create', [
    acknowledged,
    step('volumes', 0.5),
    unheard('volumes'),
    step('define', 0.5),
    unheard('define'),
    step('start', 0.5),
    unheard('start'),
  ]),
  migrate: [
    ...points('destination', 'migrate', [acknowledged, step('prepare', 0.5), step('send', 0.5)]),
    ...points('source', 'migrate', [step('send'), step('send', 0.5), unheard('send'), step('forget')]),
  ],
  delete: points('source', 'delete', [
    acknowledged,
    unheard('stop'),
    step('undefine', 0.5),
    unheard('undefine'),
    step('volumes'),
    unheard('volumes'),
  ]),
};

describe('crash safety', { timeout: 600_000 }, () => {
  let hypervisors: Hypervisors;
  let watch: RunningOnceWatch;
  let tasks: TaskDatabase;
  /** It is moved again and again, and must never restart. */
  let traveller: Vm;
  let bootId: string;
  /** They stay where they are; the process of each must be the same at the end. */
  let bystanderProcess: ReturnType<typeof processOf>;
  let bystander: Vm;
  let times: Readonly<Record<Operation, StepTimes>>;
  let made = 0;

  // Before the cloud's own end: it asks hosts that are gone then.
  after(async () => {
    await watch?.stop();
    tasks?.close();
    if (hypervisors !== undefined) await closeHypervisors(hypervisors);
  });

  const cloud = useCloud();
  const call = () => cloud().client;
  const hostOf = (vm: Vm): LabHost => cloud().hostOf(vm);
  const other = (vm: Vm): LabHost => cloud().lab.host(vm.hostName === 'h1' ? 'h2' : 'h1');

  /** What ran must be asked of the guest itself: another boot has another id. */
  const bootIdOf = (vm: Vm): Promise<string> => guestShell(hostOf(vm), vm.id, 'cat /proc/sys/kernel/random/boot_id');
  const processOf = (vm: Vm) =>
    qemuProcesses(hostOf(vm))
      .filter(({ vmId }) => vmId === vm.id)
      .map(({ process }) => process);

  before(async () => {
    hypervisors = await connectHypervisors(cloud().lab);
    watch = new RunningOnceWatch(hypervisors);
    tasks = new TaskDatabase(cloud().lab);
    traveller = await cloud().createVm('traveller', '--network', 'default', '--host', 'h1');
    bystander = await cloud().createVm('bystander', '--network', 'default', '--host', 'h3');
    await booted(hostOf(traveller), traveller.id);
    bootId = await bootIdOf(traveller);
    bystanderProcess = processOf(bystander);
    assert.equal(bystanderProcess.length, 1);
    times = { create: new Map(), migrate: new Map(), delete: new Map() };
    const create = await run('create');
    const migrate = await run('migrate');
    const remove = await run('delete');
    times = { create: stepTimes(tasks, create), migrate: stepTimes(tasks, migrate), delete: stepTimes(tasks, remove) };
    assert.deepEqual(await settledCensus({ lab: cloud().lab, client: call(), hypervisors }), []);
  });

  async function begin(during: Operation): Promise<{ readonly task: Task; readonly vm: Vm }> {
    if (during === 'create') {
      made += 1;
      const body = { name: `vm-${made}`, image: 'tiny', network: 'default', cpus: 1, memoryMib: 128, host: 'h1' };
      const task = await call().call(vmOperations.create, { body, idempotencyKey: randomUUID() });
      return { task, vm: await cloud().vm(task.target.id) };
    }
    if (during === 'delete') {
      const vm = await cloud().vm(`vm-${made}`);
      const query = { purge: true, force: true };
      return { task: await call().call(vmOperations.delete, { params: { vm: vm.id }, query }), vm };
    }
    const vm = await cloud().vm(traveller.id);
    const body = { host: other(vm).name };
    return { task: await call().call(vmOperations.migrate, { params: { vm: vm.id }, body }), vm };
  }

  async function run(during: Operation): Promise<string> {
    const { task } = await begin(during);
    const end = await cloud().ended(task.id);
    assert.equal(end.state, 'succeeded', end.error?.message);
    return task.id;
  }

  function victimOf(point: Point, { task, vm }: { readonly task: Task; readonly vm: Vm }): Victim {
    const source = hostOf(vm);
    const stepName = point.moment.at === 'unheard' ? point.moment.step : '';
    if (point.kill === 'manager') {
      const process = cloud().lab.manager();
      assert.ok(process !== undefined, 'no manager runs');
      return { process, hasEffect: () => agentFinished(source, `${task.id}/${stepName}`) };
    }
    const process = (point.kill === 'source' ? source : other(vm)).agent();
    assert.ok(process !== undefined, 'no agent runs');
    return { process, hasEffect: () => tookEffect(stepName, point.during, vm) };
  }

  async function tookEffect(stepName: string, during: Operation, vm: Vm): Promise<boolean> {
    const libvirt = hypervisors.get(vm.hostName!)!;
    const domain = (await libvirt.host.listDomains()).find(({ uuid }) => uuid === vm.id);
    const file = (id: string): string => join(cloud().lab.layout.sharedStorage, 'volumes', `${id}.qcow2`);
    if (stepName === 'volumes')
      return vm.disks.every(({ volumeId }) => existsSync(file(volumeId)) === (during === 'create'));
    if (stepName === 'define') return domain !== undefined;
    if (stepName === 'start') return domain?.id != null;
    if (stepName === 'stop') return domain?.id == null;
    return domain === undefined;
  }

  async function endedAfterCrash(taskId: string): Promise<Task> {
    return until(`end of task ${taskId} after the crash`, 90_000, async () => {
      try {
        const task = await call().call(taskOperations.get, { params: { task: taskId } });
        return isOver(task.state) ? task : undefined;
      } catch (error) {
        if (error instanceof UnreachableError) return undefined;
        throw error;
      }
    });
  }

  async function crash(point: Point): Promise<void> {
    const begun = await begin(point.during);
    const victim = victimOf(point, begun);
    await killAt(point.moment, victim, { tasks, taskId: begun.task.id, stepMs: times[point.during] });
    assert.ok(!isRunning(victim.process));
    const killedAt = performance.now();
    const seconds = (): string => ((performance.now() - killedAt) / 1000).toFixed(1);
    if (point.kill === 'manager') await cloud().cloud.startManager();
    const serving = seconds();
    const end = await endedAfterCrash(begun.task.id);
    const over = seconds();
    const differences = await settledCensus({ lab: cloud().lab, client: call(), hypervisors });
    const words = [point.during, point.kill, describeMoment(point.moment), end.state, serving, over, seconds()];
    console.error(words.join(' | '), end.error?.message ?? '');
    assert.deepEqual(differences, []);
    assert.notEqual(end.state, 'parked', end.error?.message);
    assert.deepEqual(watch.violations, []);
    await stillAsItWas(point.during, begun.vm, end);
  }

  /** What the task's end promises: done means done, and undone means as before. */
  async function stillAsItWas(during: Operation, before: Vm, end: Task): Promise<void> {
    const done = end.state === 'succeeded';
    const now = await cloud()
      .vm(before.id)
      .catch((error: KvasirError) => error.code);
    if (during === 'delete') assert.equal(now, done ? 'not-found' : before.id);
    else assert.ok(typeof now !== 'string');
    if (during === 'create' && typeof now !== 'string') assert.equal(now.state, done ? 'running' : 'failed');
    if (during === 'migrate' && typeof now !== 'string') {
      assert.equal(now.state, 'running');
      assert.equal(now.hostName, done ? other(before).name : before.hostName);
      assert.equal(await bootIdOf(now), bootId, 'the guest booted anew');
    }
  }

  async function stillRunning(): Promise<void> {
    assert.equal(await bootIdOf(await cloud().vm(traveller.id)), bootId);
    assert.deepEqual(processOf(bystander), bystanderProcess);
    assert.deepEqual(watch.violations, []);
    assert.ok(watch.sweeps > 100, `only ${watch.sweeps} looks`);
  }

  for (const [whom, all] of [
    ['the manager', managerPoints],
    ['an agent', agentPoints],
  ] as const) {
    it(`tries 20 points for ${whom}`, () => {
      assert.equal(all.create.length + all.migrate.length + all.delete.length, 20);
    });
    for (const [round, create] of all.create.entries()) {
      for (const point of [create, all.migrate[round], all.delete[round]]) {
        if (point !== undefined) it(title(point), () => crash(point));
      }
      if (all.delete[round] === undefined) it('deletes after the crashes', () => run('delete').then(() => undefined));
    }
    it(`keeps running what ran while ${whom} died again and again`, stillRunning);
  }
});

function title({ kill, during, moment }: Point): string {
  const victim = kill === 'manager' ? 'the manager' : during === 'migrate' ? `the ${kill}'s agent` : 'the agent';
  return `survives the death of ${victim} in a ${during}: ${describeMoment(moment)}`;
}
