/** Calls from the manager to real agents: broken links, repeated keys, epochs, progress, cancelling. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { poolReport } from '@kvasir/api/agent/host.ts';
import { imageImport } from '@kvasir/api/agent/storage.ts';
import { migrationSend, vmPause, vmStop } from '@kvasir/api/agent/vm.ts';
import { goodSend } from '@kvasir/agent/testing/dispatched-host.ts';
import { domainReport } from '@kvasir/agent/testing/fake-drivers.ts';
import { systemIds } from '@kvasir/manager/ids.ts';
import { type TestHost, until, World } from './testing/world.ts';

const vmId = systemIds.uuid();
const send = { ...goodSend, vmId };

describe('a call to an agent', () => {
  let world: World;
  let host: TestHost;
  before(async () => {
    world = await World.open();
    host = await world.addHost((drivers) => drivers.hypervisor.put(domainReport(vmId, { state: 'running' })));
  });
  after(() => world.close());

  it('that is long survives a manager that restarts: sent again, it joins the run', async () => {
    const { hypervisor } = host.drivers;
    const gate = Promise.withResolvers<void>();
    hypervisor.gate = gate.promise;
    const params = { vmId, timeoutMs: 60_000 };
    const first = world.hosts.calls.call(host.hostId, vmStop, params, { key: 'stop', reconnectMs: 0 });
    await until('start of the stop', () => hypervisor.calls.includes(`stop ${vmId} 60000`));
    const failed = assert.rejects(first, { code: 'host-unreachable' });
    await world.restartManager();
    await failed;
    const second = world.hosts.calls.call(host.hostId, vmStop, params, { key: 'stop' });
    await until('reconnect', () => world.hosts.isConnected(host.hostId));
    gate.resolve();
    assert.deepEqual(await second, { state: 'stopped' });
    assert.equal(hypervisor.calls.filter((call) => call.startsWith('stop ')).length, 1);
  });

  it('is sent again by itself when the link breaks in the middle', async () => {
    const { hypervisor } = host.drivers;
    hypervisor.put(domainReport(vmId, { state: 'running' }));
    const gate = Promise.withResolvers<void>();
    hypervisor.gate = gate.promise;
    hypervisor.calls.length = 0;
    const call = world.hosts.calls.call(host.hostId, vmStop, { vmId, timeoutMs: 60_000 }, { key: 'stop-2' });
    await until('start of the stop', () => hypervisor.calls.length === 1);
    world.breakLink(host.hostId);
    await until('end of the link', () => !host.agent.isConnected);
    gate.resolve();
    assert.deepEqual(await call, { state: 'stopped' });
    assert.deepEqual(hypervisor.calls, [`stop ${vmId} 60000`, `stopped ${vmId}`]);
  });

  it('is answered from the journal when it ended while the link was broken', async () => {
    const { hypervisor } = host.drivers;
    hypervisor.put(domainReport(vmId, { state: 'running' }));
    await world.hosts.calls.call(host.hostId, vmPause, { vmId }, { key: 'pause' });
    hypervisor.domains.delete(vmId);
    assert.deepEqual(await world.hosts.calls.call(host.hostId, vmPause, { vmId }, { key: 'pause' }), {
      state: 'paused',
    });
  });

  it('reports its progress, and ends as cancelled when it is aborted', async () => {
    const { hypervisor } = host.drivers;
    hypervisor.put(domainReport(vmId, { state: 'running' }));
    hypervisor.gate = new Promise(() => {});
    const abort = new AbortController();
    const percents: number[] = [];
    const onProgress = ({ percent }: { readonly percent: number }): void => void percents.push(percent);
    const call = world.hosts.calls.call(host.hostId, migrationSend, send, {
      key: 'send',
      signal: abort.signal,
      onProgress,
    });
    await until('progress', () => percents.length > 0);
    assert.deepEqual(percents, [50]);
    abort.abort();
    await assert.rejects(call, { code: 'cancelled' });
  });

  it('to a host that is not there fails after the time that it may take', async () => {
    const nowhere = systemIds.uuid();
    await assert.rejects(world.hosts.calls.call(nowhere, poolReport, {}, { reconnectMs: 1 }), {
      code: 'host-unreachable',
    });
  });

  it('that names a stream is not sent again on another link', async () => {
    const imageId = systemIds.uuid();
    const { streamId, content } = await world.hosts.calls.openStream(host.hostId);
    content.write('half of');
    const params = {
      imageId,
      poolId: imageId,
      source: { streamId, sizeBytes: 100 },
      maxVirtualSizeBytes: null,
      expectedSha256: null,
    };
    const call = world.hosts.calls.call(host.hostId, imageImport, params, { key: 'import' });
    await until('start of the import', () => host.drivers.storage.imports === 1);
    world.breakLink(host.hostId);
    await assert.rejects(call, { code: 'host-unreachable' });
    assert.equal(host.drivers.storage.images.has(imageId), false);
    const again = await world.hosts.calls.openStream(host.hostId);
    again.content.end('the whole image');
    const source = { streamId: again.streamId, sizeBytes: 15 };
    const answer = await world.hosts.calls.call(host.hostId, imageImport, { ...params, source }, { key: 'import' });
    assert.equal(answer.sizeBytes, 15);
  });

  it('with an older epoch than the agent knows is refused', async () => {
    host.drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    await world.lead(9);
    await world.hosts.calls.call(host.hostId, vmPause, { vmId }, { key: 'nine' });
    await world.lead(8);
    await assert.rejects(world.hosts.calls.call(host.hostId, vmPause, { vmId }, { key: 'eight' }), {
      code: 'stale-epoch',
    });
    world.epoch = undefined;
    await assert.rejects(world.hosts.calls.call(host.hostId, vmPause, { vmId }, { key: 'none' }), {
      code: 'not-leader',
    });
    await world.lead(9);
  });
});
