import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostDrivers } from '../drivers.ts';
import type { DomainSpec, MigrationCall, MigrationSend } from '../hypervisor.ts';
import { simDrivers } from './drivers.ts';
import type { SimHost } from './host.ts';
import { simBed, simDomain, type SimBed } from './testing.ts';

const signal = new AbortController().signal;
const running = { paused: false };

async function twoHosts(options: Parameters<typeof simBed>[1] = {}) {
  const bed = await simBed(2, options);
  const [first, second] = bed.hosts as [SimHost, SimHost];
  const [here, there] = bed.drivers as [HostDrivers, HostDrivers];
  first.migrationMsPerGib = 0;
  const spec = await simDomain(bed, here);
  await here.hypervisor.define(spec);
  return { bed, first, second, here, there, spec, vmId: spec.vm.vmId };
}

function send(spec: DomainSpec, to: HostDrivers): MigrationSend {
  return {
    vmId: spec.vm.vmId,
    ...to.hypervisor.migrationTarget(),
    copyVolumeIds: [],
    autoConverge: false,
    maxDowntimeMs: null,
    bandwidthMibps: null,
  };
}

async function plugAt(drivers: HostDrivers, spec: DomainSpec): Promise<void> {
  for (const nic of spec.nics) await drivers.network.attachPort(spec.vm.vmId, nic.spec);
}

const call = (progress: MigrationCall['progress'] = () => undefined): MigrationCall => ({ signal, progress });
const stateAt = async (drivers: HostDrivers, vmId: string) =>
  (await drivers.hypervisor.list()).find((domain) => domain.vmId === vmId)?.state;

describe('simulated world', () => {
  it('a VM that runs on two hosts is recorded, paused or running, and stays recorded', async () => {
    const { bed, here, there, spec, vmId } = await twoHosts();
    await here.hypervisor.start(vmId, { paused: true });
    await there.hypervisor.define(spec);
    assert.equal(bed.world.violations.length, 0);
    await there.hypervisor.start(vmId, running);
    await there.hypervisor.stop(vmId, 0, signal);
    const [violation] = bed.world.violations;
    assert.equal(bed.world.violations.length, 1);
    assert.deepEqual(violation?.hostIds, ['h1', 'h2']);
    assert.equal(violation?.vmId, vmId);
    assert.deepEqual(bed.world.runningOn(vmId), ['h1']);
  });

  it('with image locks the second start is refused', async () => {
    const { bed, here, there, spec, vmId } = await twoHosts({ imageLocks: true });
    await here.hypervisor.start(vmId, running);
    await there.hypervisor.define(spec);
    await assert.rejects(there.hypervisor.start(vmId, running), { code: 'host-failed' });
    assert.deepEqual(bed.world.violations, []);
  });

  it('a power failure clears running domains and keeps definitions, volumes and saved memory', async () => {
    const { bed, first, here, spec, vmId } = await twoHosts();
    const other = await simDomain(bed, here);
    await here.hypervisor.define(other);
    await here.hypervisor.start(other.vm.vmId, running);
    await here.hypervisor.suspend(other.vm.vmId);
    await here.hypervisor.start(vmId, running);
    first.powerOff();
    await assert.rejects(here.hypervisor.list(), { code: 'host-failed' });
    await assert.rejects(here.storage.report(), { code: 'host-failed' });
    assert.deepEqual(bed.world.runningOn(vmId), []);
    first.powerOn();
    assert.equal(await stateAt(here, vmId), 'stopped');
    assert.equal(await stateAt(here, other.vm.vmId), 'suspended');
    assert.deepEqual(await here.network.listPorts(), []);
    assert.equal((await here.storage.locate(spec.disks[0]!.spec)).kind, 'file');
  });

  it('memory is finite', async () => {
    const { here, vmId } = await twoHosts({ memoryMib: 100 });
    await assert.rejects(here.hypervisor.start(vmId, running), /cannot allocate memory/);
    assert.equal(await stateAt(here, vmId), 'stopped');
  });

  it('faults hit the calls they are planned for, in order, and then no more', async () => {
    const { first, here, vmId } = await twoHosts();
    first.faults.plan({ operation: 'hypervisor.start', kind: 'fail', times: 2, after: 1 });
    assert.equal(await here.hypervisor.start(vmId, running), 'running');
    await assert.rejects(here.hypervisor.start(vmId, running), { code: 'host-failed' });
    await assert.rejects(here.hypervisor.start(vmId, running), { code: 'host-failed' });
    assert.equal(await here.hypervisor.start(vmId, running), 'running');
  });

  it('a lost answer has had its effect', async () => {
    const { first, here, vmId } = await twoHosts();
    first.faults.plan({ operation: 'hypervisor.start', kind: 'lose-reply' });
    await assert.rejects(here.hypervisor.start(vmId, running), { code: 'host-failed' });
    assert.equal(await stateAt(here, vmId), 'running');
  });

  it('what hangs ends by release, by the signal or by a power failure, without effect', async () => {
    const { first, here, vmId } = await twoHosts();
    first.faults.plan({ operation: 'hypervisor.start', kind: 'hang', times: 2 });
    const released = assert.rejects(here.hypervisor.start(vmId, running), { code: 'host-failed' });
    await new Promise((resolve) => setImmediate(resolve));
    first.faults.release();
    await released;
    const lost = assert.rejects(here.hypervisor.start(vmId, running), { code: 'host-failed' });
    await new Promise((resolve) => setImmediate(resolve));
    first.powerOff();
    await lost;
    first.powerOn();
    assert.equal(await stateAt(here, vmId), 'stopped');
    first.faults.plan({ operation: 'hypervisor.stop', kind: 'hang' });
    const cancel = new AbortController();
    const stopping = assert.rejects(here.hypervisor.stop(vmId, 0, cancel.signal), { code: 'cancelled' });
    cancel.abort();
    await stopping;
  });

  it('operations take their latency on the clock of the world', async () => {
    const slept: number[] = [];
    const clock = {
      now: () => 0,
      sleep: (ms: number) => Promise.resolve(void slept.push(ms)),
      after: () => () => undefined,
    };
    const { first, here, vmId } = await twoHosts({ clock });
    first.faults.latency = { 'hypervisor.start': [100, 200], default: [5, 5] };
    await here.hypervisor.start(vmId, running);
    await here.hypervisor.list();
    assert.equal(slept.length, 2);
    assert.ok(slept[0]! >= 100 && slept[0]! < 200);
    assert.equal(slept[1], 5);
  });

  it('what somebody else does is told', async () => {
    const { first, here, vmId } = await twoHosts();
    const told: string[] = [];
    here.hypervisor.watch(({ domain }) => told.push(`${domain.state} ${domain.managed}`));
    first.interfere(vmId, 'start');
    first.interfere(vmId, 'crash');
    first.addForeignDomain('f0000000-0000-0000-0000-000000000000', 'theirs');
    assert.deepEqual(told, ['running true', 'crashed true', 'running false']);
    first.setDrift(vmId, ['memory is 256 MiB, not 128']);
    const report = (await here.hypervisor.list()).find((domain) => domain.vmId === vmId);
    assert.deepEqual(report?.drift, ['memory is 256 MiB, not 128']);
  });
});

describe('simulated migration', () => {
  async function moving(options: Parameters<typeof simBed>[1] = {}) {
    const bed = await twoHosts(options);
    await bed.here.hypervisor.start(bed.vmId, running);
    await plugAt(bed.there, bed.spec);
    return bed;
  }
  const neverTwice = (bed: SimBed) => assert.deepEqual(bed.world.violations, []);

  it('the source dies: the domain is nowhere, the destination is clean', async () => {
    const { bed, first, here, there, spec, vmId } = await moving();
    first.faults.plan({ operation: 'hypervisor.sendMigration', kind: 'source-dies', atPercent: 50 });
    await assert.rejects(here.hypervisor.sendMigration(send(spec, there), call()), { code: 'host-failed' });
    assert.deepEqual(bed.world.runningOn(vmId), []);
    assert.equal(await there.hypervisor.abandonIncoming(vmId), false);
    assert.equal(await stateAt(there, vmId), undefined);
    first.powerOn();
    assert.equal(await stateAt(here, vmId), 'stopped');
    neverTwice(bed);
  });

  it('the destination dies: the domain goes on at the source', async () => {
    const { bed, first, second, here, there, spec, vmId } = await moving();
    first.faults.plan({ operation: 'hypervisor.sendMigration', kind: 'destination-dies', atPercent: 90 });
    await assert.rejects(here.hypervisor.sendMigration(send(spec, there), call()), { code: 'host-failed' });
    assert.equal(await stateAt(here, vmId), 'running');
    second.powerOn();
    assert.equal(await stateAt(there, vmId), undefined);
    neverTwice(bed);
  });

  it('a cable that is cut in the middle ends it at the source', async () => {
    const { bed, here, there, spec, vmId } = await moving();
    const cut = call(({ percent }) => {
      if (percent >= 30) bed.world.cut('h1', 'h2');
    });
    await assert.rejects(here.hypervisor.sendMigration(send(spec, there), cut), { code: 'host-failed' });
    assert.deepEqual(bed.world.runningOn(vmId), ['h1']);
    bed.world.heal('h1', 'h2');
    await here.hypervisor.sendMigration(send(spec, there), call());
    assert.deepEqual(bed.world.runningOn(vmId), ['h2']);
    neverTwice(bed);
  });

  it('an agent that restarts joins the job that runs', async () => {
    const { bed, first, here, there, spec, vmId } = await moving();
    const again = simDrivers(first);
    let joined: Promise<unknown> | undefined;
    const sent = here.hypervisor.sendMigration(
      send(spec, there),
      call(() => {
        joined ??= again.hypervisor.sendMigration(send(spec, there), call());
      }),
    );
    const answer = await sent;
    assert.deepEqual(await joined, answer);
    assert.deepEqual(bed.world.runningOn(vmId), ['h2']);
    neverTwice(bed);
  });

  it('needs the NICs and the disks at the destination', async () => {
    const { bed, first, here, there, spec, vmId } = await twoHosts();
    await here.hypervisor.start(vmId, running);
    await assert.rejects(here.hypervisor.sendMigration(send(spec, there), call()), /NIC/);
    await plugAt(there, spec);
    const local = { spec: { ...spec.disks[0]!.spec }, source: { ...spec.disks[0]!.source, path: '/local/volumes/x' } };
    first.directory('/local', false).addVolume('x', {
      format: 'qcow2',
      sizeBytes: 1,
      backingImageId: null,
      allocatedBytes: 1,
    });
    await here.hypervisor.define({ ...spec, disks: [local] });
    await assert.rejects(here.hypervisor.sendMigration(send(spec, there), call()), /not accessible/);
    await here.hypervisor.define(spec);
    await here.hypervisor.sendMigration(send(spec, there), call());
    assert.equal(await stateAt(there, vmId), 'running');
    assert.deepEqual(bed.world.violations, []);
  });
});

it('a thousand hosts with twenty VMs each are cheap', async () => {
  const bed = await simBed(1000);
  for (const drivers of bed.drivers) {
    for (let index = 0; index < 20; index++) {
      const spec = await simDomain(bed, drivers, `vm-${index}`);
      await drivers.hypervisor.define(spec);
      await drivers.hypervisor.start(spec.vm.vmId, running);
    }
  }
  const lists = await Promise.all(bed.drivers.map(({ hypervisor }) => hypervisor.list()));
  assert.equal(lists.flat().filter((domain) => domain.state === 'running').length, 20_000);
  assert.deepEqual(bed.world.violations, []);
});
