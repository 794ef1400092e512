import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { domainReport } from './testing/fake-drivers.ts';
import { goodSend, host, otherVm, vmId } from './testing/dispatched-host.ts';

describe('the dispatcher', () => {
  it('runs a key once, also when it is repeated while it runs', async () => {
    const { change, drivers } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    const gate = Promise.withResolvers<void>();
    drivers.hypervisor.gate = gate.promise;
    const calls = [change('vm.stop', { vmId, timeoutMs: 5 }, 'k'), change('vm.stop', { vmId, timeoutMs: 5 }, 'k')];
    gate.resolve();
    await Promise.all(calls);
    await change('vm.stop', { vmId, timeoutMs: 5 }, 'k');
    assert.deepEqual(drivers.hypervisor.calls, [`stop ${vmId} 5`, `stopped ${vmId}`]);
  });

  it('answers a key that was finished before the host was booted only when its answer outlives that', async () => {
    const before = host();
    before.drivers.hypervisor.put(domainReport(vmId, { state: 'stopped' }));
    await before.change('vm.start', { vmId, paused: false }, 'start');
    await before.change('vm.stop', { vmId, timeoutMs: 5 }, 'stop');
    const agentAgain = host({ journal: before.journal, bootId: 'first boot' });
    await agentAgain.change('vm.start', { vmId, paused: false }, 'start');
    assert.deepEqual(agentAgain.drivers.hypervisor.calls, [], 'the same boot');
    const booted = host({ journal: before.journal, bootId: 'second boot' });
    booted.drivers.hypervisor.put(domainReport(vmId, { state: 'stopped' }));
    await booted.change('vm.stop', { vmId, timeoutMs: 5 }, 'stop');
    assert.deepEqual(booted.drivers.hypervisor.calls, []);
    assert.deepEqual(await booted.change('vm.start', { vmId, paused: false }, 'start'), { state: 'running' });
    const { length } = booted.drivers.hypervisor.calls;
    assert.ok(length > 0, 'it was started again');
    await booted.change('vm.start', { vmId, paused: false }, 'start');
    assert.equal(booted.drivers.hypervisor.calls.length, length, 'once');
  });

  it('says of which VM an answer is old', async () => {
    const { change, drivers, oldAnswers } = host();
    drivers.hypervisor.put(domainReport(vmId));
    const start = () => change('vm.start', { vmId, paused: false }, 'k');
    await start();
    assert.deepEqual(oldAnswers, []);
    drivers.hypervisor.change(vmId, { state: 'crashed' });
    assert.deepEqual(await start(), { state: 'running' });
    assert.deepEqual(oldAnswers, [vmId]);
  });

  it('tries a key again that failed', async () => {
    const { change, drivers } = host();
    await assert.rejects(change('vm.pause', { vmId }, 'k'), { code: 'not-found' });
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    assert.deepEqual(await change('vm.pause', { vmId }, 'k'), { state: 'paused' });
  });

  it('refuses a key that belongs to another method', async () => {
    const { change, drivers } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    await change('vm.pause', { vmId }, 'k');
    await assert.rejects(change('vm.resume', { vmId }, 'k'), { code: 'invalid-request' });
  });

  it('refuses an older epoch, also for keys that it knows', async () => {
    const { change, drivers, journal } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    await change('vm.pause', { vmId }, 'k', 1);
    await change('vm.resume', { vmId }, 'l', 5);
    assert.equal(journal.epoch, 5);
    await assert.rejects(change('vm.pause', { vmId }, 'k', 4), {
      code: 'stale-epoch',
      details: { epoch: 4, known: 5 },
    });
    assert.deepEqual(await change('vm.pause', { vmId }, 'k', 5), { state: 'paused' });
  });

  it('works on one VM one thing at a time, on two at once', async () => {
    const { change, drivers } = host();
    for (const id of [vmId, otherVm]) drivers.hypervisor.put(domainReport(id, { state: 'running' }));
    await change('vm.resume', { vmId: otherVm });
    const gate = Promise.withResolvers<void>();
    drivers.hypervisor.gate = gate.promise;
    const stop = change('vm.stop', { vmId, timeoutMs: 5 });
    const start = change('vm.start', { vmId, paused: false });
    assert.deepEqual(await change('vm.pause', { vmId: otherVm }), { state: 'paused' });
    assert.equal(drivers.hypervisor.calls.includes(`start ${vmId}`), false);
    gate.resolve();
    await Promise.all([stop, start]);
    assert.deepEqual(drivers.hypervisor.calls.slice(-2), [`stopped ${vmId}`, `start ${vmId}`]);
  });

  it('reports progress and cancels a long change', async () => {
    const { change, drivers, progress, query } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    drivers.hypervisor.gate = new Promise(() => {});
    const send = change('migration.send', goodSend, 'k');
    while (progress.length === 0) await systemClock.sleep(1);
    assert.deepEqual(progress[0], { key: 'k', percent: 50, bytesDone: 5, bytesTotal: 10, downtimeMs: null });
    await query('call.cancel', { key: 'k' });
    await assert.rejects(send, { code: 'cancelled' });
  });

  it('answers host-failed when a driver answers out of the contract', async () => {
    const { query, drivers } = host();
    drivers.storage.report = async () => [{ poolId: 'nonsense' }] as never;
    await assert.rejects(query('pool.report', {}), { code: 'host-failed' });
  });

  it('does not wait for a hypervisor that is silent, and finds what went on all the same', async () => {
    const { change, drivers, silence } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    const gate = Promise.withResolvers<void>();
    drivers.hypervisor.gate = gate.promise;
    const stop = change('vm.stop', { vmId, timeoutMs: 5 }, 'k');
    while (drivers.hypervisor.calls.length === 0) await systemClock.sleep(1);
    silence.fall();
    await assert.rejects(stop, { code: 'hypervisor-silent' });
    await assert.rejects(change('vm.stop', { vmId, timeoutMs: 5 }, 'k'), { code: 'hypervisor-silent' });
    gate.resolve();
    while (!drivers.hypervisor.calls.includes(`stopped ${vmId}`)) await systemClock.sleep(1);
    silence.answer();
    assert.deepEqual(await change('vm.stop', { vmId, timeoutMs: 5 }, 'k'), { state: 'stopped' });
    assert.deepEqual(drivers.hypervisor.calls, [`stop ${vmId} 5`, `stopped ${vmId}`], 'once');
  });

  it('begins nothing that needs a silent hypervisor, and all else', async () => {
    const { change, query, drivers, silence } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    silence.fall();
    await assert.rejects(change('vm.pause', { vmId }), { code: 'hypervisor-silent' });
    await assert.rejects(query('vm.list', {}), { code: 'hypervisor-silent' });
    assert.deepEqual(await query('pool.report', {}), { pools: [] });
    assert.deepEqual(drivers.hypervisor.calls, []);
  });

  it('lets go of a VM that ended with its storage though the hypervisor is silent, unless a start of it may come through', async () => {
    const { change, drivers, silence } = host();
    for (const id of [vmId, otherVm]) drivers.hypervisor.put(domainReport(id, { state: 'crashed' }));
    drivers.liveness.ended.add(vmId);
    silence.fall();
    await assert.rejects(change('vm.undefine', { vmId: otherVm }), { code: 'hypervisor-silent' });
    drivers.liveness.starts.add(vmId);
    await assert.rejects(change('vm.undefine', { vmId }), { code: 'hypervisor-silent' });
    drivers.liveness.starts.delete(vmId);
    assert.deepEqual(await change('vm.undefine', { vmId }), {});
    assert.deepEqual(drivers.hypervisor.calls, []);
  });
});
