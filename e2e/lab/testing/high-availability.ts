/** What tests of high availability ask and do: states of hosts, timelines, what power devices were told, a cloud that is watched. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import type { HaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { type Host, hostOperations } from '@kvasir/api/resources/host.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { powerFiles } from '@kvasir/lab/bmc.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import type { ProcessIdentity } from '@kvasir/lab/processes.ts';
import { until } from '@kvasir/lab/processes.ts';
import { type TestCloud, useCloud } from './cloud.ts';
import { booted } from './guest.ts';
import { leasesIn } from './leases.ts';
import { ProcessWatch } from './process-watch.ts';

export type HaState = Host['ha']['state'];
type TimelineEntry = {
  readonly sinceMs: number;
  readonly kind: string;
  readonly message: string;
  readonly because: string | null;
};

export class HaCloud {
  readonly cloud: TestCloud;
  readonly watch: ProcessWatch;

  constructor(cloud: TestCloud) {
    this.cloud = cloud;
    this.watch = new ProcessWatch(cloud.lab);
  }

  async host(name: string): Promise<Host> {
    return this.cloud.client.call(hostOperations.get, { params: { host: name } });
  }

  async untilHa(name: string, state: HaState, timeoutMs = 30_000): Promise<Host> {
    let last: Host['ha'] | undefined;
    return until(`host ${name} ${state}`, timeoutMs, async () => {
      const host = await this.host(name);
      last = host.ha;
      return host.ha.state === state ? host : undefined;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; last seen: ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** All hosts up and well, their leases guarded and the VMs of the test where they run for good. */
  async untilQuiet(timeoutMs = 60_000): Promise<void> {
    const { client, lab } = this.cloud;
    let last: readonly Host[] = [];
    await until('all hosts up and well', timeoutMs, async () => {
      last = (await client.call(hostOperations.list, {})).items;
      return last.every(({ state, ha }) => state === 'up' && ha.state === 'running');
    }).catch((error: Error) => {
      const seen = last.map(({ name, state, ha }) => `${name} ${state}, ${ha.state}: ${ha.because}`);
      throw new Error(`${error.message}; last seen: ${seen.join('; ')}`, { cause: error });
    });
    await until('incidents closed', timeoutMs, async () => {
      return (await client.call(haOperations.list, { query: { open: true } })).items.length === 0;
    });
    await until('guarded leases', timeoutMs, () => leasesIn(lab).filter(({ guarded }) => guarded).length === 3);
  }

  /** VMs on this host, booted; one CPU and 128 MiB each, on the shared pool. */
  async vmsOn(host: string, names: readonly string[], ...more: readonly string[]): Promise<Vm[]> {
    const made = await Promise.all(names.map((name) => this.cloud.createVm(name, '--host', host, ...more)));
    await Promise.all(made.map((vm) => booted(this.cloud.lab.host(host), vm.id)));
    return made;
  }

  async policy(ha: Partial<HaPolicy>): Promise<void> {
    await this.cloud.client.call(clusterOperations.update, { params: { cluster: 'default' }, body: { ha } });
  }

  async untilRunsElsewhere(vm: Vm, than: string, timeoutMs = 30_000): Promise<Vm> {
    const elsewhere = this.cloud.untilVm(
      `VM ${vm.name} on another host than ${than}`,
      vm.id,
      ({ state, hostName }) => state === 'running' && hostName !== than,
      timeoutMs,
    );
    return elsewhere.catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await this.story(than)}`, { cause: error });
    });
  }

  /** The lines of the last incident of a host. */
  async timeline(hostName: string): Promise<readonly TimelineEntry[]> {
    const { incidentId } = (await this.host(hostName)).ha;
    if (incidentId === null) return [];
    return (await this.cloud.client.call(haOperations.get, { params: { incident: incidentId } })).timeline;
  }

  /** The timeline as a text, for diagnosis. */
  async story(hostName: string): Promise<string> {
    const lines = (await this.timeline(hostName)).map(({ sinceMs, kind, message, because }) => {
      return `${sinceMs} ms ${kind}: ${message}${because === null ? '' : ` because ${because}`}`;
    });
    const { items } = await this.cloud.client.call(eventOperations.list, { query: { limit: 500 } });
    const events = items.filter(({ kind }) => /^(ha|host|cluster|manager)[.]/.test(kind));
    return [...lines, ...events.map(({ at, message }) => `${at} ${message}`), ...this.#logs()].join('\n');
  }

  /** The ends of what the manager and the agents wrote. */
  #logs(): string[] {
    const { lab } = this.cloud;
    const powered = lab.hosts().filter((host) => host.init() !== undefined);
    const agents = powered.map((host) => host.path(insideHost.agentLog));
    const files = [lab.layout.managerLog, lab.layout.forwarderLog, ...agents];
    return files.flatMap((file) => {
      const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-40) : ['not there'];
      return [`--- ${file}`, ...lines];
    });
  }

  async untilTold(hostName: string, message: RegExp, timeoutMs = 30_000): Promise<void> {
    await until(`${message.source} in the timeline of ${hostName}`, timeoutMs, async () =>
      (await this.timeline(hostName)).some((entry) => message.test(entry.message)),
    );
  }

  async untilEvent(kind: string, timeoutMs = 30_000): Promise<string> {
    return until(`event ${kind}`, timeoutMs, async () => {
      const { items } = await this.cloud.client.call(eventOperations.list, { query: { kind, limit: 10 } });
      return items.at(-1)?.message;
    });
  }

  async events(kind: string): Promise<readonly { readonly message: string }[]> {
    return (await this.cloud.client.call(eventOperations.list, { query: { kind, limit: 500 } })).items;
  }

  /** What the power devices of this host were told so far, and how often its watchdog reset it. */
  powerOrders(hostName: string): string[] {
    const lines = readFileSync(powerFiles(this.cloud.lab.layout).log, 'utf8').split('\n');
    return lines.filter(
      (line) => line.includes(` ${hostName} `) && /is told: (power 0|reset|shutdown)|: reset$/.test(line),
    );
  }

  noteHosts(): ReadonlyMap<string, ProcessIdentity | undefined> {
    return new Map(this.cloud.lab.hosts().map((host) => [host.name, host.init()]));
  }

  /** The same boots as then, and no power device was told to end one. */
  assertNobodyFenced(before: ReadonlyMap<string, ProcessIdentity | undefined>, ordersBefore: readonly string[]): void {
    assert.deepEqual(this.noteHosts(), before, 'a host was booted anew');
    assert.deepEqual(this.allOrders(), ordersBefore, 'a power device was told to end a host');
  }

  allOrders(): string[] {
    return this.cloud.lab.hosts().flatMap(({ name }) => this.powerOrders(name));
  }

  /** Runs still in the process that it had. */
  assertUndisturbed(vm: Vm, hostName: string): void {
    const all = this.watch.of(vm.id);
    assert.equal(all.length, 1, `VM ${vm.name} had ${all.length} processes`);
    assert.equal(all[0]?.hostName, hostName);
    assert.equal(all[0]?.untilMs, null, `VM ${vm.name} was ended`);
  }

  /** The VM ended before it began elsewhere, and began elsewhere once. */
  assertMovedOnce(vm: Vm, from: string): void {
    const [first, second, ...more] = this.watch.of(vm.id);
    assert.equal(first?.hostName, from);
    assert.ok(second !== undefined, `VM ${vm.name} runs nowhere else`);
    assert.notEqual(second.hostName, from);
    assert.deepEqual(more, []);
    assert.ok(first.untilMs !== null && first.untilMs <= second.sinceMs, `VM ${vm.name} began before it had ended`);
    assert.equal(second.untilMs, null);
  }

  /** No VM ran twice so far. */
  assertNeverTwice(): void {
    assert.deepEqual(this.watch.violations, []);
    assert.ok(this.watch.looks > 20, `the hosts were looked at only ${this.watch.looks} times`);
  }
}

/** A cloud of three hosts with power devices and guarded leases, past the manager's grace. */
export function useHaCloud(): () => HaCloud {
  let ha: HaCloud | undefined;
  // Before the cloud's own end.
  after(() => ha?.watch.stop());
  const cloud = useCloud();
  before(async () => {
    ha = new HaCloud(cloud());
    await ha.policy({ graceMs: 3000 });
    await ha.untilQuiet();
  });
  return () => {
    if (ha === undefined) throw new Error('the cloud is not up');
    return ha;
  };
}
