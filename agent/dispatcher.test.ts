import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Progress } from '@kvasir/api/agent/link.ts';
import { agentMethods } from '@kvasir/api/agent/methods.ts';
import { emptyOutline, type SliceOutline } from '@kvasir/api/agent/slice-outline.ts';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { memoryLinkPair } from '@kvasir/api/agent/wire/memory-link.ts';
import { Peer } from '@kvasir/api/agent/wire/peer.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { Dispatcher, missingHandlers } from './dispatcher.ts';
import { flatSlice } from './drivers/flat-slice.ts';
import { allHandlers } from './handlers/all.ts';
import type { HostContext } from './handlers/handler.ts';
import { requireLeases } from './handlers/liveness.ts';
import { MemoryJournal } from './journal/journal.ts';
import { MemoryServed } from './journal/served.ts';
import { MemoryVmMetadata } from './journal/vm-metadata.ts';
import { MemoryVmSpecs } from './journal/vm-specs.ts';
import { KeyedLock } from './keyed-lock.ts';
import { noLog } from './log.ts';
import { domainReport, fakeDrivers } from './testing/fake-drivers.ts';

const ids = Array.from({ length: 9 }, (_, index) => `00000000-0000-4000-8000-00000000000${index}`);
const [vmId, poolId, volumeId, imageId, nicId, networkId, otherVm] = ids as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
const disk = { poolId, volumeId, format: 'qcow2', device: 'vda', bus: 'virtio', readOnly: false };
function flatOutline(): SliceOutline {
  const [network] = flatSlice(networkId).networks;
  const { remotePorts: _ports, memberVteps: _vteps, ...facts } = network!;
  return { ...emptyOutline, networks: [{ ...facts, members: [] }] };
}

const nic = { nicId, networkId, macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 };
const vm = {
  vmId,
  name: 'web',
  projectId: poolId,
  cpus: 1,
  maxCpus: 1,
  memoryMib: 128,
  maxMemoryMib: 128,
  cpuModel: 'maximum',
  firmware: 'bios',
  bootOrder: ['disk'],
  disks: [disk],
  nics: [nic],
  cloudInit: { instanceId: 'i', userData: '#secret' },
};

function host(before?: { readonly journal: MemoryJournal; readonly bootId: string }) {
  const drivers = fakeDrivers();
  drivers.storage.volumes.add(volumeId);
  const journal = before?.journal ?? new MemoryJournal();
  const progress: Progress[] = [];
  const specs = new MemoryVmSpecs();
  const identity = { hostId: ids[8]!, name: 'h1', address: '127.0.0.1' };
  const context = {
    identity,
    drivers,
    specs,
    served: new MemoryServed(),
    metadata: new MemoryVmMetadata(),
    locks: new KeyedLock(),
    clock: systemClock,
    hostname: 'h1',
    versions: {},
  };
  const handlers = allHandlers(context);
  const dispatcher = new Dispatcher({
    handlers,
    journal,
    bootId: before?.bootId ?? 'first boot',
    clock: systemClock,
    log: noLog,
    sendProgress: (report) => progress.push(report),
  });
  const { streams } = new Peer(memoryLinkPair()[0], systemClock, 'odd', {
    request: async () => null,
    notification: () => {},
  });
  let keys = 0;
  return {
    drivers,
    journal,
    progress,
    handlers,
    streams,
    specs,
    query: (method: string, params: unknown) => dispatcher.request(method, params, streams),
    change: (method: string, params: unknown, key = `key-${(keys += 1)}`, epoch = 1) =>
      dispatcher.request(method, { key, epoch, params }, streams),
  };
}

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
    'migration.send': {
      vmId,
      connectUri: 'fake://',
      migrationHost: 'x',
      copyVolumeIds: [],
      autoConverge: true,
      maxDowntimeMs: null,
      bandwidthMibps: null,
    },
    'migration.cancel': { vmId },
    'migration.ready': { vmId, poolIds: [poolId] },
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
});

const goodSend = {
  vmId,
  connectUri: 'fake://',
  migrationHost: 'x',
  copyVolumeIds: [],
  autoConverge: true,
  maxDowntimeMs: null,
  bandwidthMibps: null,
};
