/**
 * One crash after the other on a test's cloud: begins a create, a live migration or a delete, kills a process at a moment of
 * it, brings it back, and holds the outcome against what is promised. Keeps the VMs that must live through all of it: one
 * that is moved again and again (a disk in the shared pool, one in a local pool), and one that stays where it is.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnreachableError } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { type Task, taskOperations } from '@kvasir/api/resources/task.ts';
import type { Vm, VmCreate } from '@kvasir/api/resources/vm.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { isRunning, type ProcessIdentity, until } from '@kvasir/lab/processes.ts';
import { settledCensus } from './census.ts';
import type { TestCloud } from './cloud.ts';
import {
  agentFinished,
  stepBegins,
  isOver,
  killAt,
  type Moment,
  type StepTimes,
  stepTimes,
  type Victim,
} from './crash-points.ts';
import { booted, guestShell } from './guest.ts';
import { qemuProcesses } from './host-findings.ts';
import type { Hypervisors } from './hypervisors.ts';
import { RunningOnceWatch } from './running-once.ts';
import { TaskDatabase } from './task-database.ts';

export type Operation = 'create' | 'migrate' | 'delete';
/** Of the agents: the source's (the VM's own host on a create and a delete) or a migration's destination's. */
export type Whom = 'manager' | 'source' | 'destination';
export type Point = {
  readonly kill: Whom;
  readonly during: Operation;
  readonly moment: Moment;
  /** Of a create: in this host's local pool, which the image has to be brought to first; default: shared pool, h1. */
  readonly locally?: string;
};

type Begun = { readonly task: Task; readonly vm: Vm };

const sizes = { image: 'tiny', network: 'default', cpus: 1, memoryMib: 128, cloudInit: { hostname: 'crash' } };

export class CrashRig {
  readonly #cloud: TestCloud;
  readonly #hypervisors: Hypervisors;
  readonly #watch: RunningOnceWatch;
  readonly #tasks: TaskDatabase;
  #times: Readonly<Record<Operation, StepTimes>> = { create: new Map(), migrate: new Map(), delete: new Map() };
  #traveller = '';
  #bootId = '';
  #bystander = '';
  #bystanderProcesses: readonly ProcessIdentity[] = [];
  #made = 0;

  constructor(cloud: TestCloud, hypervisors: Hypervisors) {
    this.#cloud = cloud;
    this.#hypervisors = hypervisors;
    this.#watch = new RunningOnceWatch(hypervisors);
    this.#tasks = new TaskDatabase(cloud.lab);
  }

  async close(): Promise<void> {
    await this.#watch.stop();
    this.#tasks.close();
  }

  /** Makes the VMs that stay, and goes through each operation once without a crash to learn how long its steps take. */
  async prepare(): Promise<void> {
    const disks = [{ pool: 'local', sizeGib: 0.0625 }];
    const traveller = await this.#finished(this.#create({ name: 'traveller', host: 'h1', disks }));
    const bystander = await this.#finished(this.#create({ name: 'bystander', host: 'h3', pool: 'local' }));
    this.#traveller = traveller.target.id;
    this.#bystander = bystander.target.id;
    const vm = await this.#cloud.vm(this.#traveller);
    await booted(this.#cloud.hostOf(vm), vm.id);
    this.#bootId = await this.#bootIdOf(vm);
    this.#bystanderProcesses = await this.#processesOf(this.#bystander);
    assert.equal(this.#bystanderProcesses.length, 1);
    const [create, migrate, remove] = [await this.run('create'), await this.run('migrate'), await this.run('delete')];
    const times = (task: Task): StepTimes => stepTimes(this.#tasks, task.id);
    // Only the bystander's image had to be brought.
    const made = new Map([...times(create), ['image', times(bystander).get('image') ?? 0]]);
    this.#times = { create: made, migrate: times(migrate), delete: times(remove) };
    assert.deepEqual(await this.differences(), []);
  }

  /** Without a crash. */
  async run(during: Operation): Promise<Task> {
    return this.#finished(this.#begin({ during }).then(({ task }) => task));
  }

  /** Answers in words how it ended. */
  async crash(point: Point): Promise<string> {
    const { moment } = point;
    const begun = await this.#begin(point);
    const victim = await this.#victimOf(point, begun);
    const stepMs = this.#times[point.during];
    if (moment.at === 'undoing') {
      await stepBegins(this.#tasks, begun.task.id, moment.cancelled);
      await this.#cloud.client.call(taskOperations.cancel, { params: { task: begun.task.id } });
    }
    await killAt(moment, victim, { tasks: this.#tasks, taskId: begun.task.id, stepMs });
    assert.ok(!isRunning(victim.process));
    const killedAt = performance.now();
    if (point.kill === 'manager') await this.restartManager();
    const end = await this.#endAfterCrash(begun.task.id);
    const seconds = ((performance.now() - killedAt) / 1000).toFixed(1);
    assert.notEqual(end.state, 'parked', end.error?.message);
    assert.deepEqual(await this.differences(), [], `after the task ${end.state}: ${end.error?.message ?? ''}`);
    assert.deepEqual(this.#watch.violations, []);
    await this.#checkOutcome(point, begun.vm, end);
    return `${end.state} ${seconds} s after the crash`;
  }

  /** Where the manager and the hosts don't agree once all has come to rest. */
  async differences(timeoutMs?: number): Promise<string[]> {
    const { lab, client } = this.#cloud;
    return settledCensus({ lab, client, hypervisors: this.#hypervisors }, timeoutMs);
  }

  /** @throws AssertionError when a VM of those that stay did not run all the time, or any ran twice */
  async stillRunning(): Promise<void> {
    assert.equal(await this.#bootIdOf(await this.#cloud.vm(this.#traveller)), this.#bootId);
    assert.deepEqual(await this.#processesOf(this.#bystander), this.#bystanderProcesses);
    assert.deepEqual(this.#watch.violations, []);
    assert.ok(this.#watch.sweeps > 100, `the hosts were looked at only ${this.#watch.sweeps} times`);
  }

  async restartManager(): Promise<void> {
    const { cloud, lab } = this.#cloud;
    await cloud.startManager().catch((error: Error) => {
      const log = readFileSync(lab.layout.managerLog, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
      throw new Error(`${error.message}\n${log}`, { cause: error });
    });
  }

  async #create(body: VmCreate): Promise<Task> {
    return this.#cloud.client.call(vmOperations.create, { body: { ...sizes, ...body }, idempotencyKey: randomUUID() });
  }

  async #finished(task: Promise<Task>): Promise<Task> {
    const { id } = await task;
    const end = await this.#endAfterCrash(id);
    assert.equal(end.state, 'succeeded', end.error?.message);
    return end;
  }

  async #begin({ during, moment, locally }: Pick<Point, 'during' | 'locally'> & Partial<Point>): Promise<Begun> {
    const { client } = this.#cloud;
    if (during === 'create') {
      this.#made += 1;
      const pool = locally === undefined ? 'shared' : 'local';
      const clone = this.#made % 3 === 0 ? 'linked' : 'full';
      const task = await this.#create({ name: `vm-${this.#made}`, host: locally ?? 'h1', pool, clone });
      return { task, vm: await this.#cloud.vm(task.target.id) };
    }
    const vm = await this.#cloud.vm(during === 'delete' ? `vm-${this.#made}` : this.#traveller);
    const params = { vm: vm.id };
    // A slow one leaves time to be cancelled.
    const bandwidthMibps = moment?.at === 'undoing' || moment?.at === 'cancelled' ? 4 : undefined;
    const task =
      during === 'delete'
        ? await client.call(vmOperations.delete, { params, query: { purge: true, force: true } })
        : await client.call(vmOperations.migrate, { params, body: { host: this.#other(vm).name, bandwidthMibps } });
    return { task, vm };
  }

  async #victimOf(point: Point, { task, vm }: Begun): Promise<Victim> {
    const source = this.#cloud.hostOf(vm);
    const stepName = point.moment.at === 'unheard' ? point.moment.step : '';
    if (point.kill === 'manager') {
      const manager = this.#cloud.lab.manager();
      assert.ok(manager !== undefined, 'no manager runs');
      return { process: manager, hasEffect: () => agentFinished(source, `${task.id}/${stepName}`) };
    }
    const host = point.kill === 'source' ? source : this.#other(vm);
    // It may have died a moment ago, when the task before had ended already.
    const agent = await until(`agent on ${host.name}`, 10_000, () => host.agent());
    return { process: agent, hasEffect: () => this.#tookEffect(stepName, point.during, vm) };
  }

  /** Whether the hypervisor or the disk shows what the step is to do. */
  async #tookEffect(stepName: string, during: Operation, vm: Vm): Promise<boolean> {
    const libvirt = this.#hypervisors.get(vm.hostName ?? '')!;
    const domain = (await libvirt.host.listDomains()).find(({ uuid }) => uuid === vm.id);
    const isActive = domain !== undefined && domain.id !== null;
    const file = (id: string): string => join(this.#cloud.lab.layout.sharedStorage, 'volumes', `${id}.qcow2`);
    if (stepName === 'volumes')
      return vm.disks.every(({ volumeId }) => existsSync(file(volumeId)) === (during === 'create'));
    if (stepName === 'define') return domain !== undefined;
    if (stepName === 'start') return isActive;
    if (stepName === 'stop') return !isActive;
    return domain === undefined;
  }

  async #endAfterCrash(taskId: string): Promise<Task> {
    return until(`end of task ${taskId}`, 60_000, async () => {
      try {
        const task = await this.#cloud.client.call(taskOperations.get, { params: { task: taskId } });
        return isOver(task.state) ? task : undefined;
      } catch (error) {
        if (error instanceof UnreachableError) return undefined;
        throw error;
      }
    });
  }

  /** Done means done, and undone means as before. */
  async #checkOutcome(point: Point, before: Vm, end: Task): Promise<void> {
    const { during } = point;
    const done = end.state === 'succeeded';
    const now = await this.#cloud.vm(before.id).catch((error: KvasirError) => error.code);
    if (typeof now === 'string') {
      assert.equal(now, 'not-found');
      assert.ok(
        during === 'delete' ? done : end.state === 'cancelled',
        `no VM is left of a ${during} that ${end.state}`,
      );
      return;
    }
    if (during === 'delete') assert.ok(!done, 'the VM is still there');
    if (during === 'create') assert.equal(now.state, done ? 'running' : 'failed');
    if (during !== 'migrate') return;
    assert.equal(now.state, 'running');
    const there = this.#other(before).name;
    assert.equal(now.hostName, done ? there : before.hostName);
    assert.equal(await this.#bootIdOf(now), this.#bootId, 'the guest booted anew');
  }

  #other(vm: Vm): LabHost {
    return this.#cloud.lab.host(vm.hostName === 'h1' ? 'h2' : 'h1');
  }

  /** Only the guest knows whether it ran all the time: another boot has another id. */
  async #bootIdOf(vm: Vm): Promise<string> {
    return guestShell(this.#cloud.hostOf(vm), vm.id, 'cat /proc/sys/kernel/random/boot_id');
  }

  async #processesOf(vmId: string): Promise<ProcessIdentity[]> {
    const host = this.#cloud.hostOf(await this.#cloud.vm(vmId));
    return qemuProcesses(host).flatMap((qemu) => (qemu.vmId === vmId ? [qemu.process] : []));
  }
}
