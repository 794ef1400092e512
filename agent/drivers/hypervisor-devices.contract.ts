/** The hypervisor contract on what a domain has: disks and NICs, its size, its screen and its consoles. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'node:test';
import { type HypervisorBed, quick } from './hypervisor-bed.contract.ts';

export function deviceContract(bed: HypervisorBed): void {
  it('disks and NICs come and go while it runs, each once', async () => {
    const { hypervisor } = bed.first;
    await bed.running();
    await bed.answers();
    const disk = await bed.harness.disk(bed.vmId);
    await hypervisor.attachDisk(bed.vmId, disk);
    await hypervisor.attachDisk(bed.vmId, disk);
    const nic = await bed.harness.nic(bed.vmId);
    await hypervisor.attachNic(bed.vmId, nic);
    await hypervisor.attachNic(bed.vmId, nic);
    assert.deepEqual((await bed.reportOf(bed.first))?.drift, []);
    await hypervisor.detachDisk(bed.vmId, disk.spec.volumeId, quick);
    await hypervisor.detachDisk(bed.vmId, disk.spec.volumeId, quick);
    await hypervisor.detachNic(bed.vmId, nic.spec.nicId, quick);
    await hypervisor.detachNic(bed.vmId, nic.spec.nicId, quick);
    assert.deepEqual((await bed.reportOf(bed.first))?.drift, []);
    await assert.rejects(hypervisor.resizeDisk(bed.vmId, randomUUID(), 2 ** 30), { code: 'not-found' });
  });

  it('sizes change without drift, stopped and running', async () => {
    const { hypervisor } = bed.first;
    await hypervisor.define(bed.spec);
    const { cpus, maxCpus, memoryMib, maxMemoryMib } = bed.spec.vm;
    const size = { cpus, maxCpus: maxCpus + 1, memoryMib, maxMemoryMib };
    await hypervisor.resize(bed.vmId, size);
    await hypervisor.resize(bed.vmId, size);
    await hypervisor.start(bed.vmId, { paused: false });
    const beyond = await hypervisor.resize(bed.vmId, { ...size, maxCpus: maxCpus + 2 });
    assert.equal(beyond.live, false);
    assert.deepEqual((await bed.reportOf(bed.first))?.drift, []);
  });

  it('shows its screen and its consoles while it runs', async () => {
    await bed.running();
    const picture = await bed.first.hypervisor.screenshot(bed.vmId);
    assert.equal(picture.subarray(1, 4).toString(), 'PNG');
    const screen = await bed.first.hypervisor.openConsole(bed.vmId, 'vnc');
    const greeting = await new Promise<Buffer>((resolve) => screen.once('data', resolve));
    assert.equal(greeting.subarray(0, 4).toString(), 'RFB ');
    screen.destroy();
    const serial = await bed.first.hypervisor.openConsole(bed.vmId, 'serial');
    serial.destroy();
  });
}
