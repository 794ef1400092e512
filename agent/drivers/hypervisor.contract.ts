/**
 * What every `HypervisorDriver` (and the `GuestDriver` beside it) does: run on simulated hosts in each test run, and on
 * real ones end to end. States and reports are asserted, never calls; every 'make it so' is asked for twice.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { GuestDriver } from './guest.ts';
import type { DomainDisk, DomainEvent, DomainNic, DomainSpec, HypervisorDriver, MigrationSend } from './hypervisor.ts';

export interface ContractHost {
  readonly hypervisor: HypervisorDriver;
  readonly guest: GuestDriver;
  /** Drivers made anew on the same host and opened, as after a restart of the agent; the old ones are closed. */
  restart(): Promise<ContractHost>;
  /** Makes what a domain that is to arrive here needs: its side of the NICs. */
  prepare(domain: DomainSpec): Promise<void>;
}

export interface HypervisorHarness {
  readonly first: ContractHost;
  /** Shares the storage of the first. */
  readonly second: ContractHost;
  /** A VM that can boot on either host, with one disk on shared storage and one NIC, at least 128 MiB; made on the first. */
  domain(): Promise<DomainSpec>;
  /** One more of each for that VM, on the first host. */
  disk(vmId: string): Promise<DomainDisk>;
  nic(vmId: string): Promise<DomainNic>;
  /** Until a guest that was started answers, at most. */
  readonly bootTimeoutMs: number;
  close(): Promise<void>;
}

const quick = new AbortController().signal;

export function hypervisorContract(name: string, makeHarness: () => Promise<HypervisorHarness>): void {
  describe(`hypervisor contract: ${name}`, () => {
    let harness: HypervisorHarness;
    let first: ContractHost;
    let second: ContractHost;
    let spec: DomainSpec;
    let vmId: string;

    before(async () => {
      harness = await makeHarness();
      first = harness.first;
      second = harness.second;
      spec = await harness.domain();
      vmId = spec.vm.vmId;
    });
    afterEach(async () => {
      for (const { hypervisor } of [first, second]) {
        for (const domain of await hypervisor.list()) {
          if (domain.vmId !== vmId) continue;
          await hypervisor.stop(vmId, 0, quick).catch(() => undefined);
          await hypervisor.undefine(vmId).catch(() => undefined);
        }
      }
    });
    after(() => harness.close());

    const reportOf = async (host: ContractHost): Promise<DomainReport | undefined> =>
      (await host.hypervisor.list()).find((domain) => domain.vmId === vmId);
    const running = async () => {
      await first.hypervisor.define(spec);
      await first.hypervisor.start(vmId, { paused: false });
    };
    const send = (more: Partial<MigrationSend> = {}): MigrationSend => ({
      vmId,
      ...second.hypervisor.migrationTarget(),
      copyVolumeIds: [],
      autoConverge: false,
      maxDowntimeMs: null,
      bandwidthMibps: null,
      ...more,
    });
    const answers = () => until(harness.bootTimeoutMs, 'the guest answers', () => first.guest.ping(vmId));

    it('says what the host has', async () => {
      const facts = await first.hypervisor.facts();
      assert.ok(facts.cpus > 0 && facts.memoryMib > 0);
      assert.equal(facts.virtualization === 'kvm', facts.virtualizationReason === null);
      assert.ok(Object.keys(facts.versions).length > 0);
    });

    it('a domain that is not here is not found, and counts as removed and as left', async () => {
      const { hypervisor, guest } = first;
      const nobody = randomUUID();
      const asked: (() => Promise<unknown>)[] = [
        () => hypervisor.start(nobody, { paused: false }),
        () => hypervisor.stop(nobody, 0, quick),
        () => hypervisor.reset(nobody),
        () => hypervisor.pause(nobody),
        () => hypervisor.resume(nobody),
        () => hypervisor.suspend(nobody),
        () => hypervisor.resize(nobody, { cpus: 1, maxCpus: 1, memoryMib: 128, maxMemoryMib: 128 }),
        () => hypervisor.detachDisk(nobody, randomUUID(), quick),
        () => hypervisor.detachNic(nobody, randomUUID(), quick),
        () => hypervisor.screenshot(nobody),
        () => hypervisor.openConsole(nobody, 'serial'),
        () => guest.ping(nobody),
        () => guest.info(nobody),
      ];
      for (const ask of asked) await assert.rejects(ask(), { code: 'not-found' });
      await hypervisor.undefine(nobody);
      assert.equal(await hypervisor.abandonIncoming(nobody), false);
      assert.equal(await hypervisor.cancelMigration(nobody), 'left');
      await hypervisor.sendMigration(send({ vmId: nobody }), { signal: quick, progress: () => undefined });
    });

    it('define makes a stopped domain with the spec; again: the same', async () => {
      assert.equal(await first.hypervisor.define(spec), 'stopped');
      assert.equal(await first.hypervisor.define(spec), 'stopped');
      const report = await reportOf(first);
      assert.equal(report?.name, spec.vm.name);
      assert.equal(report?.managed, true);
      assert.equal(report?.state, 'stopped');
      assert.equal(report?.incoming, false);
      assert.equal(report?.startedAtMs, null);
      assert.deepEqual(report?.drift, []);
    });

    it('start, pause, resume, reset and stop do what they say, also when they are repeated', async () => {
      const { hypervisor } = first;
      await hypervisor.define(spec);
      assert.equal(await hypervisor.start(vmId, { paused: false }), 'running');
      assert.equal(await hypervisor.start(vmId, { paused: false }), 'running');
      const report = await reportOf(first);
      assert.equal(report?.state, 'running');
      assert.ok(report?.startedAtMs !== null);
      assert.deepEqual(report?.drift, []);
      for (const [verb, state] of [
        ['pause', 'paused'],
        ['resume', 'running'],
        ['reset', 'running'],
      ] as const) {
        assert.equal(await hypervisor[verb](vmId), state);
        assert.equal(await hypervisor[verb](vmId), state);
        assert.equal((await reportOf(first))?.state, state);
      }
      assert.equal(await hypervisor.stop(vmId, 0, quick), 'stopped');
      assert.equal(await hypervisor.stop(vmId, 0, quick), 'stopped');
      assert.equal((await reportOf(first))?.state, 'stopped');
    });

    it('a domain may be started paused', async () => {
      await first.hypervisor.define(spec);
      assert.equal(await first.hypervisor.start(vmId, { paused: true }), 'paused');
      assert.equal(await first.hypervisor.start(vmId, { paused: true }), 'paused');
      assert.equal(await first.hypervisor.resume(vmId), 'running');
    });

    it('suspend keeps the memory until the next start', async () => {
      await running();
      assert.equal(await first.hypervisor.suspend(vmId), 'suspended');
      assert.equal(await first.hypervisor.suspend(vmId), 'suspended');
      assert.equal((await reportOf(first))?.state, 'suspended');
      assert.equal(await first.hypervisor.start(vmId, { paused: false }), 'running');
      await first.hypervisor.suspend(vmId);
      await first.hypervisor.undefine(vmId);
      assert.equal(await first.hypervisor.define(spec), 'stopped');
    });

    it('what needs a running domain is refused for a stopped one', async () => {
      const { hypervisor } = first;
      await hypervisor.define(spec);
      for (const verb of ['pause', 'resume', 'reset', 'suspend', 'screenshot'] as const) {
        await assert.rejects(hypervisor[verb](vmId), { code: 'wrong-state' }, verb);
      }
      await assert.rejects(hypervisor.openConsole(vmId, 'serial'), { code: 'wrong-state' });
      assert.equal((await reportOf(first))?.state, 'stopped');
    });

    it('a running domain is not removed, a stopped one is; again: the same', async () => {
      await running();
      await assert.rejects(first.hypervisor.undefine(vmId), { code: 'wrong-state' });
      assert.equal((await reportOf(first))?.state, 'running');
      await first.hypervisor.stop(vmId, 0, quick);
      await first.hypervisor.undefine(vmId);
      await first.hypervisor.undefine(vmId);
      assert.equal(await reportOf(first), undefined);
    });

    it('a running domain keeps running when it is defined anew', async () => {
      await running();
      const before = await reportOf(first);
      const renamed = { ...spec, vm: { ...spec.vm, name: `${spec.vm.name}-2` } };
      assert.equal(await first.hypervisor.define(renamed), 'running');
      assert.equal((await reportOf(first))?.startedAtMs, before?.startedAtMs);
      await first.hypervisor.stop(vmId, 0, quick);
      assert.equal((await reportOf(first))?.name, renamed.vm.name);
    });

    it('changes are told, with the whole report', async () => {
      const events: DomainEvent[] = [];
      const stopWatching = first.hypervisor.watch((event) => events.push(event));
      const told = (what: string, check: (event: DomainEvent) => boolean) =>
        until(5_000, what, () => Promise.resolve(events.some((event) => event.domain.vmId === vmId && check(event))));
      await running();
      await told('it runs', ({ domain }) => domain.state === 'running' && domain.name === spec.vm.name);
      await first.hypervisor.pause(vmId);
      await told('it is paused', ({ domain }) => domain.state === 'paused');
      await first.hypervisor.stop(vmId, 0, quick);
      await told('it is stopped', ({ domain }) => domain.state === 'stopped');
      await first.hypervisor.undefine(vmId);
      await told('it is gone', ({ removed }) => removed);
      stopWatching();
      const known = events.length;
      await first.hypervisor.define(spec);
      assert.equal(events.length, known);
    });

    it('disks and NICs come and go while it runs, each once', async () => {
      const { hypervisor } = first;
      await running();
      await answers();
      const disk = await harness.disk(vmId);
      await hypervisor.attachDisk(vmId, disk);
      await hypervisor.attachDisk(vmId, disk);
      const nic = await harness.nic(vmId);
      await hypervisor.attachNic(vmId, nic);
      await hypervisor.attachNic(vmId, nic);
      assert.deepEqual((await reportOf(first))?.drift, []);
      await hypervisor.detachDisk(vmId, disk.spec.volumeId, quick);
      await hypervisor.detachDisk(vmId, disk.spec.volumeId, quick);
      await hypervisor.detachNic(vmId, nic.spec.nicId, quick);
      await hypervisor.detachNic(vmId, nic.spec.nicId, quick);
      assert.deepEqual((await reportOf(first))?.drift, []);
      await assert.rejects(hypervisor.resizeDisk(vmId, randomUUID(), 2 ** 30), { code: 'not-found' });
    });

    it('sizes change without drift, stopped and running', async () => {
      const { hypervisor } = first;
      await hypervisor.define(spec);
      const { cpus, maxCpus, memoryMib, maxMemoryMib } = spec.vm;
      const size = { cpus, maxCpus: maxCpus + 1, memoryMib, maxMemoryMib };
      await hypervisor.resize(vmId, size);
      await hypervisor.resize(vmId, size);
      await hypervisor.start(vmId, { paused: false });
      const beyond = await hypervisor.resize(vmId, { ...size, maxCpus: maxCpus + 2 });
      assert.equal(beyond.live, false);
      assert.deepEqual((await reportOf(first))?.drift, []);
    });

    it('shows its screen and its consoles while it runs', async () => {
      await running();
      const picture = await first.hypervisor.screenshot(vmId);
      assert.equal(picture.subarray(1, 4).toString(), 'PNG');
      const screen = await first.hypervisor.openConsole(vmId, 'vnc');
      const greeting = await new Promise<Buffer>((resolve) => screen.once('data', resolve));
      assert.equal(greeting.subarray(0, 4).toString(), 'RFB ');
      screen.destroy();
      const serial = await first.hypervisor.openConsole(vmId, 'serial');
      serial.destroy();
    });

    it('the guest answers once it has booted, and not when it is stopped', async () => {
      const { guest } = first;
      await running();
      await answers();
      assert.equal((await guest.info(vmId)).agent, true);
      const command = { argv: ['/bin/echo', 'hello'], stdin: null, timeoutMs: 30_000 };
      assert.deepEqual(await guest.exec(vmId, command, quick), { exitCode: 0, stdout: 'hello\n', stderr: '' });
      await first.hypervisor.stop(vmId, 0, quick);
      assert.equal(await guest.ping(vmId), false);
      await assert.rejects(guest.exec(vmId, command, quick), { code: 'unsupported' });
    });

    it('a guest that is asked to shuts itself down', async () => {
      await running();
      await answers();
      assert.equal(await first.hypervisor.stop(vmId, 120_000, quick), 'stopped');
    });

    it('a stop that waits for the guest can be cut short: forced, or cancelled', async () => {
      await running();
      const force = new AbortController();
      force.abort('force');
      assert.equal(await first.hypervisor.stop(vmId, 600_000, force.signal), 'stopped');
      await first.hypervisor.start(vmId, { paused: false });
      const cancel = new AbortController();
      cancel.abort();
      await assert.rejects(first.hypervisor.stop(vmId, 600_000, cancel.signal), { code: 'cancelled' });
    });

    it('a restart of the agent changes nothing for a domain', async () => {
      await running();
      const before = await reportOf(first);
      first = await first.restart();
      const later = await reportOf(first);
      assert.equal(later?.state, 'running');
      assert.equal(later?.startedAtMs, before?.startedAtMs);
      assert.equal(await first.hypervisor.start(vmId, { paused: false }), 'running');
    });

    it('a domain moves to another host; a repeated request finds it gone', async () => {
      await running();
      await second.prepare(spec);
      await second.hypervisor.prepareIncoming(spec);
      const percents: number[] = [];
      const call = { signal: quick, progress: ({ percent }: { percent: number }) => percents.push(percent) };
      await first.hypervisor.sendMigration(send(), call);
      assert.equal(await reportOf(first), undefined);
      const there = await reportOf(second);
      assert.equal(there?.state, 'running');
      assert.equal(there?.incoming, false);
      assert.equal(there?.managed, true);
      assert.deepEqual(
        percents,
        percents.toSorted((a, b) => a - b),
      );
      await first.hypervisor.sendMigration(send(), call);
      assert.equal(await first.hypervisor.cancelMigration(vmId), 'left');
      assert.equal(await second.hypervisor.abandonIncoming(vmId), true);
      assert.equal((await reportOf(second))?.state, 'running');
    });

    it('a migration that is cancelled leaves the domain where it was', async () => {
      await running();
      await second.prepare(spec);
      const cancel = new AbortController();
      const call = { signal: cancel.signal, progress: () => cancel.abort() };
      await assert.rejects(first.hypervisor.sendMigration(send({ bandwidthMibps: 1 }), call), { code: 'cancelled' });
      assert.equal((await reportOf(first))?.state, 'running');
      assert.equal(await second.hypervisor.abandonIncoming(vmId), false);
      assert.equal(await second.hypervisor.abandonIncoming(vmId), false);
      assert.equal(await reportOf(second), undefined);
    });

    it('a migration can be ended without its call, also by an agent that did not begin it', async () => {
      for (const restarted of [false, true]) {
        await running();
        await second.prepare(spec);
        const begun = Promise.withResolvers<void>();
        const call = { signal: quick, progress: () => begun.resolve() };
        const sending = first.hypervisor.sendMigration(send({ bandwidthMibps: 1 }), call);
        const ended = assert.rejects(sending, restarted ? Error : { code: 'cancelled' });
        await begun.promise;
        if (restarted) first = await first.restart();
        assert.equal(await first.hypervisor.cancelMigration(vmId), 'stayed');
        assert.equal(await reportOf(second), undefined);
        assert.equal((await reportOf(first))?.state, 'running');
        await ended;
        assert.equal(await second.hypervisor.abandonIncoming(vmId), false);
      }
    });

    it('without a migration there is nothing to end: the domain stays, running and stopped', async () => {
      await running();
      for (const state of ['running', 'stopped'] as const) {
        if (state === 'stopped') await first.hypervisor.stop(vmId, 0, quick);
        assert.equal(await first.hypervisor.cancelMigration(vmId), 'stayed');
        assert.equal(await first.hypervisor.cancelMigration(vmId), 'stayed');
        assert.equal((await reportOf(first))?.state, state);
      }
    });

    it('a migration to where nobody is fails and leaves the domain where it was', async () => {
      await running();
      const nowhere = second.hypervisor.migrationTarget();
      const connectUri = nowhere.connectUri.replace(/\/\/[^/]+/, '//nobody.invalid');
      const sending = first.hypervisor.sendMigration(send({ connectUri }), {
        signal: quick,
        progress: () => undefined,
      });
      await assert.rejects(sending, { code: 'host-failed' });
      assert.equal((await reportOf(first))?.state, 'running');
    });
  });
}

/** Looks every 50 ms. */
async function until(timeoutMs: number, what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${timeoutMs} ms that ${what}`);
    await delay(50);
  }
}
