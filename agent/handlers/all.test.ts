import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agentMethods } from '@kvasir/api/agent/methods.ts';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { missingHandlers } from '../dispatcher.ts';
import type { HostContext } from './handler.ts';
import { requireLeases } from './liveness.ts';
import { MemoryServed } from '../journal/served.ts';
import { domainReport } from '../testing/fake-drivers.ts';
import {
  disk,
  flatOutline,
  goodSend,
  host,
  imageId,
  nic,
  nicId,
  poolId,
  vm,
  vmId,
  volumeId,
} from '../testing/dispatched-host.ts';

describe('the handlers', () => {
  it('serve every method of the contract and no other', () => {
    const { handlers } = host();
    assert.deepEqual(missingHandlers(handlers), []);
    assert.deepEqual([...handlers.keys()].sort(), agentMethods.map((method) => method.name).sort());
  });

  /** A good call of each method; the dispatcher refuses answers that are not in the method's schema. */
  const goodCalls: Record<string, unknown> = {
    'host.inventory': {},
    'pool.apply': { pools: [{ poolId, name: 'p', kind: 'directory', path: '/p', shared: true, initialize: true }] },
    'pool.report': {},
    'image.import': { imageId, poolId, source: { file: 'a.qcow2' }, maxVirtualSizeBytes: null, expectedSha256: null },
    'image.open': { imageId, poolId, format: 'raw' },
    'image.delete': { imageId, poolId, format: 'raw' },
    'volume.create': { poolId, volumeId, format: 'qcow2', sizeBytes: 1024, from: null },
    'volume.resize': { poolId, volumeId, format: 'qcow2', sizeBytes: 2048 },
    'storage.list': { poolId },
    'vm.list': {},
    'vm.define': { vm },
    'vm.start': { vmId, paused: false },
    'vm.reset': { vmId },
    'vm.pause': { vmId },
    'vm.resume': { vmId },
    'vm.resize': { vmId, cpus: 1, maxCpus: 2, memoryMib: 128, maxMemoryMib: 256 },
    'vm.attachDisk': { vmId, disk },
    'vm.detachDisk': { vmId, volumeId },
    'vm.resizeDisk': { vmId, volumeId, sizeBytes: 4096 },
    'vm.attachNic': { vmId, nic },
    'vm.detachNic': { vmId, nicId },
    'vm.screenshot': { vmId },
    'vm.console': { vmId, kind: 'serial' },
    'guest.ping': { vmId },
    'guest.info': { vmId },
    'guest.exec': { vmId, argv: ['true'], stdin: null, timeoutMs: 1000 },
    'guest.freeze': { vmId },
    'guest.thaw': { vmId },
    'vm.suspend': { vmId },
    'vm.stop': { vmId, timeoutMs: 0 },
    'migration.send': goodSend,
    'migration.cancel': { vmId },
    'migration.ready': { vmId, poolIds: [poolId] },
    'migration.departure': { vmId },
    'migration.forget': { vmId, copiedVolumes: [] },
    'migration.prepare': { vm, copyVolumes: [{ poolId, volumeId, format: 'qcow2', sizeBytes: 1024 }] },
    'migration.abandon': { vmId, copyVolumes: [] },
    'vm.undefine': { vmId },
    'volume.delete': { poolId, volumeId, format: 'qcow2' },
    'liveness.apply': {
      generation: 1,
      renewEveryMs: 1000,
      killAfterMs: 6000,
      leaseMs: 9000,
      pools: [{ poolId, slot: 3 }],
      peers: [],
      probePort: null,
      probeKey: null,
    },
    'network.apply': { generation: 1, outline: flatOutline(), documents: [] },
    'port.counters': { nicIds: [nicId] },
    'network.trace': {
      from: { nicId },
      packet: {
        protocol: 6,
        sourceMac: '52:54:00:00:00:01',
        destinationMac: '52:54:00:00:00:02',
        sourceAddress: '10.0.0.1',
        destinationAddress: '10.0.0.2',
        sourcePort: 1024,
        destinationPort: 80,
      },
    },
  };

  it('answer every method as the contract says, and again under the same key', async () => {
    const { query, change } = host();
    assert.deepEqual(Object.keys(goodCalls).sort(), agentMethods.map((method) => method.name).sort());
    for (const [name, params] of Object.entries(goodCalls)) {
      const { kind } = agentMethods.find((method) => method.name === name)!;
      const first = await (kind === 'query' ? query(name, params) : change(name, params, name));
      if (kind === 'change') assert.deepEqual(await change(name, params, name), first, name);
    }
  });

  it('start nothing in a pool whose lease is lost, but wait a moment for it', async () => {
    const { drivers } = host();
    let now = 0;
    const sleep = async (ms: number) => void (now += ms);
    const clock = { ...systemClock, now: () => now, sleep };
    const context = { clock, drivers, served: new MemoryServed() } as unknown as HostContext;
    const wanted = { disks: [disk] } as unknown as VmSpec;
    drivers.liveness.lost.add(poolId);
    await assert.rejects(requireLeases(context, wanted), { code: 'host-failed', message: /does not hold its lease/ });
    assert.equal(now, 5000);
    clock.sleep = async () => {
      drivers.liveness.lost.clear();
    };
    await requireLeases(context, wanted);
    assert.deepEqual([...drivers.liveness.lost], []);
  });

  it('refuse params that are not in the contract', async () => {
    const { change, query } = host();
    await assert.rejects(change('vm.start', { vmId, paused: 'no' }), { code: 'invalid-request' });
    await assert.rejects(change('vm.start', { vmId, paused: true, more: 1 }), { code: 'invalid-request' });
    await assert.rejects(query('vm.start', { vmId, paused: true }), { code: 'invalid-request' });
    await assert.rejects(query('vm.explode', {}), { code: 'unsupported' });
  });

  it('make what a VM needs, and clear it when it is undefined', async () => {
    const { change, drivers, specs } = host();
    await change('vm.define', { vm });
    assert.deepEqual([[...drivers.network.ports.keys()], [...drivers.storage.seeds]], [[nicId], [vmId]]);
    assert.equal(JSON.stringify([...specs.all()]).includes('#secret'), false);
    await change('vm.undefine', { vmId });
    await change('vm.undefine', { vmId });
    assert.deepEqual(
      [
        drivers.network.ports.size,
        drivers.storage.seeds.size,
        drivers.hypervisor.domains.size,
        [...specs.all()].length,
      ],
      [0, 0, 0, 0],
    );
  });

  it('keep the ports of a running VM when undefine is refused', async () => {
    const { change, drivers } = host();
    await change('vm.define', { vm });
    await change('vm.start', { vmId, paused: false });
    await assert.rejects(change('vm.undefine', { vmId }), { code: 'wrong-state' });
    assert.equal(drivers.network.ports.size, 1);
  });

  it('make lost ports again before a start', async () => {
    const { change, drivers } = host();
    await change('vm.define', { vm });
    drivers.network.ports.clear();
    await change('vm.start', { vmId, paused: false });
    assert.deepEqual([...drivers.network.ports.keys()], [nicId]);
  });

  it('let a stop at once overtake one that waits for the guest', async () => {
    const { change, drivers } = host();
    await change('vm.define', { vm });
    await change('vm.start', { vmId, paused: false });
    drivers.hypervisor.gate = new Promise(() => {});
    const patient = change('vm.stop', { vmId, timeoutMs: 60_000 });
    while (!drivers.hypervisor.calls.includes(`stop ${vmId} 60000`)) await systemClock.sleep(1);
    assert.deepEqual(await change('vm.stop', { vmId, timeoutMs: 0 }), { state: 'stopped' });
    assert.deepEqual(await patient, { state: 'stopped' });
  });

  it("never clear a migration's source while the domain is there", async () => {
    const { change, drivers } = host();
    await change('vm.define', { vm });
    const copied = [{ poolId, volumeId, format: 'qcow2' }];
    await assert.rejects(change('migration.forget', { vmId, copiedVolumes: copied }), { code: 'wrong-state' });
    assert.deepEqual([drivers.network.ports.size, drivers.storage.volumes.size], [1, 1]);
  });

  it('end the sends of a VM, the one that has its lock and those that wait for it, and say where the VM is', async () => {
    const { change, drivers } = host();
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    drivers.hypervisor.gate = new Promise(() => {});
    const sends = ['a', 'b'].map((key) =>
      assert.rejects(change('migration.send', goodSend, key), { code: 'cancelled' }),
    );
    while (!drivers.hypervisor.calls.includes(`send ${vmId}`)) await systemClock.sleep(1);
    assert.deepEqual(await change('migration.cancel', { vmId }), { outcome: 'stayed' });
    await Promise.all(sends);
    assert.deepEqual(await change('migration.cancel', { vmId }), { outcome: 'stayed' });
    drivers.hypervisor.gate = Promise.resolve();
    await change('migration.send', goodSend);
    assert.deepEqual(await change('migration.cancel', { vmId }), { outcome: 'left' });
  });

  it('say for how long at least a VM that was sent away has been gone', async () => {
    const { change, query, drivers } = host();
    const away = async (): Promise<number> =>
      ((await query('migration.departure', { vmId })) as { readonly awayMs: number }).awayMs;
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    await assert.rejects(away(), { code: 'wrong-state' });
    await change('migration.send', goodSend);
    while ((await away()) === 0) await systemClock.sleep(10);
    await change('migration.forget', { vmId, copiedVolumes: [] });
    assert.equal(await away(), 0, 'not known: from now on');
  });

  it('clear an abandoned destination only when the domain did not arrive', async () => {
    const { change, drivers } = host();
    const copyVolumes = [{ poolId, volumeId, format: 'qcow2' }];
    await change('migration.prepare', { vm, copyVolumes: copyVolumes.map((volume) => ({ ...volume, sizeBytes: 1 })) });
    drivers.hypervisor.put(domainReport(vmId, { state: 'running' }));
    assert.deepEqual(await change('migration.abandon', { vmId, copyVolumes }), { arrived: true });
    assert.deepEqual([drivers.network.ports.size, drivers.storage.volumes.size], [1, 1]);
    drivers.hypervisor.domains.clear();
    assert.deepEqual(await change('migration.abandon', { vmId, copyVolumes }), { arrived: false });
    assert.deepEqual([drivers.network.ports.size, drivers.storage.volumes.size], [0, 0]);
  });
});
