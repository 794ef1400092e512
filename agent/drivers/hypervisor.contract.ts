/**
 * What every `HypervisorDriver` (and the `GuestDriver` beside it) does: run on simulated hosts in each test run, and on
 * real ones end to end. States and reports are asserted, never calls; every 'make it so' is asked for twice. The life of a
 * domain and of its guest is here; devices and migration are in files of their own.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import type { DomainEvent } from './hypervisor.ts';
import { deviceContract } from './hypervisor-devices.contract.ts';
import { hypervisorBed, type HypervisorHarness, quick, until } from './hypervisor-bed.contract.ts';
import { migrationContract } from './hypervisor-migration.contract.ts';

export function hypervisorContract(name: string, makeHarness: () => Promise<HypervisorHarness>): void {
  describe(`hypervisor contract: ${name}`, () => {
    const bed = hypervisorBed(makeHarness);

    it('says what the host has', async () => {
      await bed.first.hypervisor.answers();
      const facts = await bed.first.hypervisor.facts();
      assert.ok(facts.cpus > 0 && facts.memoryMib > 0);
      assert.equal(facts.virtualization === 'kvm', facts.virtualizationReason === null);
      assert.ok(Object.keys(facts.versions).length > 0);
    });

    it('a domain that is not here is not found, and counts as removed and as left', async () => {
      const { hypervisor, guest } = bed.first;
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
      await hypervisor.sendMigration(bed.send({ vmId: nobody }), { signal: quick, progress: () => undefined });
    });

    it('define makes a stopped domain with the spec; again: the same', async () => {
      assert.equal(await bed.first.hypervisor.define(bed.spec), 'stopped');
      assert.equal(await bed.first.hypervisor.define(bed.spec), 'stopped');
      const report = await bed.reportOf(bed.first);
      assert.equal(report?.name, bed.spec.vm.name);
      assert.equal(report?.managed, true);
      assert.equal(report?.state, 'stopped');
      assert.equal(report?.incoming, false);
      assert.equal(report?.startedAtMs, null);
      assert.deepEqual(report?.drift, []);
    });

    it('start, pause, resume, reset and stop do what they say, also when they are repeated', async () => {
      const { hypervisor } = bed.first;
      await hypervisor.define(bed.spec);
      assert.equal(await hypervisor.start(bed.vmId, { paused: false }), 'running');
      assert.equal(await hypervisor.start(bed.vmId, { paused: false }), 'running');
      const report = await bed.reportOf(bed.first);
      assert.equal(report?.state, 'running');
      assert.ok(report?.startedAtMs !== null);
      assert.deepEqual(report?.drift, []);
      for (const [verb, state] of [
        ['pause', 'paused'],
        ['resume', 'running'],
        ['reset', 'running'],
      ] as const) {
        assert.equal(await hypervisor[verb](bed.vmId), state);
        assert.equal(await hypervisor[verb](bed.vmId), state);
        assert.equal((await bed.reportOf(bed.first))?.state, state);
      }
      assert.equal(await hypervisor.stop(bed.vmId, 0, quick), 'stopped');
      assert.equal(await hypervisor.stop(bed.vmId, 0, quick), 'stopped');
      assert.equal((await bed.reportOf(bed.first))?.state, 'stopped');
    });

    it('a domain may be started paused', async () => {
      await bed.first.hypervisor.define(bed.spec);
      assert.equal(await bed.first.hypervisor.start(bed.vmId, { paused: true }), 'paused');
      assert.equal(await bed.first.hypervisor.start(bed.vmId, { paused: true }), 'paused');
      assert.equal(await bed.first.hypervisor.resume(bed.vmId), 'running');
    });

    it('suspend keeps the memory until the next start', async () => {
      await bed.running();
      assert.equal(await bed.first.hypervisor.suspend(bed.vmId), 'suspended');
      assert.equal(await bed.first.hypervisor.suspend(bed.vmId), 'suspended');
      assert.equal((await bed.reportOf(bed.first))?.state, 'suspended');
      assert.equal(await bed.first.hypervisor.start(bed.vmId, { paused: false }), 'running');
      await bed.first.hypervisor.suspend(bed.vmId);
      await bed.first.hypervisor.undefine(bed.vmId);
      assert.equal(await bed.first.hypervisor.define(bed.spec), 'stopped');
    });

    it('what needs a running domain is refused for a stopped one', async () => {
      const { hypervisor } = bed.first;
      await hypervisor.define(bed.spec);
      for (const verb of ['pause', 'resume', 'reset', 'suspend', 'screenshot'] as const) {
        await assert.rejects(hypervisor[verb](bed.vmId), { code: 'wrong-state' }, verb);
      }
      await assert.rejects(hypervisor.openConsole(bed.vmId, 'serial'), { code: 'wrong-state' });
      assert.equal((await bed.reportOf(bed.first))?.state, 'stopped');
    });

    it('a running domain is not removed, a stopped one is; again: the same', async () => {
      await bed.running();
      await assert.rejects(bed.first.hypervisor.undefine(bed.vmId), { code: 'wrong-state' });
      assert.equal((await bed.reportOf(bed.first))?.state, 'running');
      await bed.first.hypervisor.stop(bed.vmId, 0, quick);
      await bed.first.hypervisor.undefine(bed.vmId);
      await bed.first.hypervisor.undefine(bed.vmId);
      assert.equal(await bed.reportOf(bed.first), undefined);
    });

    it('a running domain keeps running when it is defined anew', async () => {
      await bed.running();
      const before = await bed.reportOf(bed.first);
      const renamed = { ...bed.spec, vm: { ...bed.spec.vm, name: `${bed.spec.vm.name}-2` } };
      assert.equal(await bed.first.hypervisor.define(renamed), 'running');
      assert.equal((await bed.reportOf(bed.first))?.startedAtMs, before?.startedAtMs);
      await bed.first.hypervisor.stop(bed.vmId, 0, quick);
      assert.equal((await bed.reportOf(bed.first))?.name, renamed.vm.name);
    });

    it('changes are told, with the whole report', async () => {
      const events: DomainEvent[] = [];
      const stopWatching = bed.first.hypervisor.watch((event) => events.push(event));
      const told = (what: string, check: (event: DomainEvent) => boolean) =>
        until(5_000, what, () =>
          Promise.resolve(events.some((event) => event.domain.vmId === bed.vmId && check(event))),
        );
      await bed.running();
      await told('it runs', ({ domain }) => domain.state === 'running' && domain.name === bed.spec.vm.name);
      await bed.first.hypervisor.pause(bed.vmId);
      await told('it is paused', ({ domain }) => domain.state === 'paused');
      await bed.first.hypervisor.stop(bed.vmId, 0, quick);
      await told('it is stopped', ({ domain }) => domain.state === 'stopped');
      await bed.first.hypervisor.undefine(bed.vmId);
      await told('it is gone', ({ removed }) => removed);
      stopWatching();
      const known = events.length;
      await bed.first.hypervisor.define(bed.spec);
      assert.equal(events.length, known);
    });

    it('the guest answers once it has booted, and not when it is stopped', async () => {
      const { guest } = bed.first;
      await bed.running();
      await bed.answers();
      assert.equal((await guest.info(bed.vmId)).agent, true);
      const command = { argv: ['/bin/echo', 'hello'], stdin: null, timeoutMs: 30_000 };
      assert.deepEqual(await guest.exec(bed.vmId, command, quick), { exitCode: 0, stdout: 'hello\n', stderr: '' });
      await bed.first.hypervisor.stop(bed.vmId, 0, quick);
      assert.equal(await guest.ping(bed.vmId), false);
      await assert.rejects(guest.exec(bed.vmId, command, quick), { code: 'unsupported' });
    });

    it('a guest that is asked to shuts itself down', async () => {
      await bed.running();
      await bed.answers();
      assert.equal(await bed.first.hypervisor.stop(bed.vmId, 120_000, quick), 'stopped');
    });

    it('a stop that waits for the guest can be cut short: forced, or cancelled', async () => {
      await bed.running();
      const force = new AbortController();
      force.abort('force');
      assert.equal(await bed.first.hypervisor.stop(bed.vmId, 600_000, force.signal), 'stopped');
      await bed.first.hypervisor.start(bed.vmId, { paused: false });
      const cancel = new AbortController();
      cancel.abort();
      await assert.rejects(bed.first.hypervisor.stop(bed.vmId, 600_000, cancel.signal), { code: 'cancelled' });
    });

    it('a restart of the agent changes nothing for a domain', async () => {
      await bed.running();
      const before = await bed.reportOf(bed.first);
      bed.first = await bed.first.restart();
      const later = await bed.reportOf(bed.first);
      assert.equal(later?.state, 'running');
      assert.equal(later?.startedAtMs, before?.startedAtMs);
      assert.equal(await bed.first.hypervisor.start(bed.vmId, { paused: false }), 'running');
    });

    deviceContract(bed);
    migrationContract(bed);
  });
}
