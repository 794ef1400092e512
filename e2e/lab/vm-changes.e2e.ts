/** A running VM is changed under its guest: processors, memory, disks, NICs; and what people call it. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import type { Volume } from '@kvasir/api/resources/volume.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';

const secondMac = '52:54:00:bb:00:01';

describe('a VM is changed while it runs', { timeout: 400_000 }, () => {
  const cloud = useCloud();
  let vm: Vm;
  let host: LabHost;

  const shell = (line: string): Promise<string> => guestShell(host, vm.id, line);
  const guestSees = (what: string, line: string, expected: (answer: string) => boolean): Promise<true> =>
    until(what, 20_000, async () => expected(await shell(line)) || undefined);
  const memoryKib = async (): Promise<number> => Number(await shell("awk '/MemTotal/ { print $2 }' /proc/meminfo"));

  before(async () => {
    vm = await cloud().createVm('beta', '--network', 'default', '--max-cpus', '2', '--max-memory', '512MiB');
    host = cloud().hostOf(vm);
    await booted(host, vm.id);
  });

  it('more processors and memory reach the guest at once', async () => {
    const memory = await memoryKib();
    assert.equal(await shell('nproc'), '1');
    await cloud().kvasir('vm', 'resize', 'beta', '--cpus', '2', '--memory', '256MiB', '--wait');
    await guestSees('the second processor', 'nproc', (answer) => answer === '2');
    await until('the memory', 20_000, async () => (await memoryKib()) >= memory + 120 * 1024 || undefined);
    const now = await cloud().vm('beta');
    assert.deepEqual([now.cpus, now.memoryMib, now.drift], [2, 256, []]);
  });

  it('they are there also when the guest was only booting', async () => {
    const early = await cloud().createVm('early', '--max-cpus', '2', '--max-memory', '256MiB');
    try {
      await cloud().kvasir('vm', 'resize', 'early', '--cpus', '2', '--memory', '256MiB', '--wait');
      const where = cloud().hostOf(early);
      await booted(where, early.id);
      const memory = await memoryKib();
      await until('both processors and all of its memory', 20_000, async () => {
        const answer = await guestShell(where, early.id, "nproc; awk '/MemTotal/ { print $2 }' /proc/meminfo");
        const [processors, kib] = answer.trim().split(/\s+/).map(Number);
        return (processors === 2 && Number(kib) >= memory - 16 * 1024) || undefined;
      });
    } finally {
      await cloud().purge('early');
    }
  });

  it('beyond what it was made for it is refused while it runs, with the field', async () => {
    assert.match(await cloud().refused('vm', 'resize', 'beta', '--cpus', '3'), /cpus.*maxCpus, 2/s);
    assert.match(await cloud().refused('vm', 'resize', 'beta', '--memory', '1GiB'), /memoryMib.*maxMemoryMib, 512/s);
  });

  it('a disk is attached, grows and is detached under the guest, and keeps its content', async () => {
    const blocks = 'awk \'$4 == "vdb" { print $3 }\' /proc/partitions';
    await cloud().kvasir('vm', 'attach-disk', 'beta', '--size', '128MiB', '--pool', 'shared', '--wait');
    await guestSees('the disk', blocks, (answer) => answer === '131072');
    const disk = (await cloud().vm('beta')).disks[1];
    assert.ok(disk !== undefined);
    await shell('echo precious | dd of=/dev/vdb bs=512 seek=100 conv=sync; sync');

    await cloud().kvasir('volume', 'resize', disk.volumeName, '256MiB', '--wait');
    await guestSees('the larger disk', blocks, (answer) => answer === '262144');
    assert.match(await cloud().refused('volume', 'resize', disk.volumeName, '64MiB'), /sizeGib/);
    assert.match(await cloud().refused('volume', 'delete', disk.volumeName), /beta/);

    await cloud().kvasir('vm', 'detach-disk', 'beta', disk.volumeName, '--wait');
    await guestSees('the disk gone', blocks, (answer) => answer === '');
    const kept = await cloud().kvasir<Volume>('volume', 'show', disk.volumeName);
    assert.deepEqual([kept.vmId, kept.sizeGib, kept.state], [null, 0.25, 'ready']);

    await cloud().kvasir('vm', 'attach-disk', 'beta', disk.volumeName, '--wait');
    await guestSees('the disk again', blocks, (answer) => answer === '262144');
    assert.equal(await shell('dd if=/dev/vdb bs=512 skip=100 count=1 2>/dev/null | head -n1'), 'precious');
    assert.deepEqual((await cloud().vm('beta')).drift, []);
  });

  it('a NIC is attached and detached under the guest, and its port comes and goes', async () => {
    const macs = 'cat /sys/class/net/*/address';
    await cloud().kvasir('vm', 'attach-nic', 'beta', 'default', '--mac-address', secondMac, '--wait');
    await guestSees('the NIC', macs, (answer) => answer.includes(secondMac));
    const nic = (await cloud().vm('beta')).nics.find(({ macAddress }) => macAddress === secondMac);
    assert.ok(nic !== undefined);
    const ports = (): Promise<string> => host.exec(['ovs-vsctl', 'list', 'Interface']);
    assert.ok((await ports()).includes(nic.id));
    await cloud().kvasir('vm', 'detach-nic', 'beta', nic.id, '--wait');
    await guestSees('the NIC gone', macs, (answer) => !answer.includes(secondMac));
    assert.ok(!(await ports()).includes(nic.id));
    assert.deepEqual((await cloud().vm('beta')).drift, []);
  });

  it('it is renamed, described, labelled and found again by filters', async () => {
    const change = ['--name', 'beta2', '--description', 'the second', '--label', 'tier=front', '--label', 'owner=ops'];
    await cloud().kvasir('vm', 'update', 'beta', ...change);
    const list = async (...filter: string[]): Promise<string[]> =>
      (await cloud().kvasir<readonly Vm[]>('vm', 'list', ...filter)).map(({ name }) => name);
    assert.deepEqual(await list('--label', 'tier=front'), ['beta2']);
    assert.deepEqual(await list('--label', 'tier=back'), []);
    assert.deepEqual(await list('--state', 'running'), ['beta2']);
    assert.deepEqual(await list('--state', 'stopped'), []);
    assert.deepEqual(await list('--host', host.name), ['beta2']);
    assert.deepEqual(await list('--name', 'beta'), []);
    const now = await cloud().vm('beta2');
    assert.deepEqual([now.id, now.description], [vm.id, 'the second']);
    assert.match(
      await cloud().refused('vm', 'update', 'beta2', '--name', 'x', '--if-match', '1'),
      /meanwhile|revision/,
    );
  });

  it('memory is taken away only from a stopped VM; a smaller size and another boot order take effect at its start', async () => {
    const memory = await memoryKib();
    assert.match(await cloud().refused('vm', 'resize', 'beta2', '--memory', '300MiB', '--wait'), /Stop the VM/);
    assert.equal((await cloud().vm('beta2')).memoryMib, 256);
    assert.match(
      await cloud().refused('vm', 'resize', 'beta2', '--memory', '128MiB'),
      /memoryMib.*while it is stopped/s,
    );
    assert.equal(await memoryKib(), memory);
    await cloud().kvasir('vm', 'update', 'beta2', '--boot-order', 'network,disk');
    await cloud().kvasir('vm', 'stop', 'beta2', '--wait');
    await cloud().kvasir('vm', 'resize', 'beta2', '--cpus', '1', '--memory', '128MiB', '--wait');
    await cloud().kvasir('vm', 'start', 'beta2', '--paused', '--wait');
    const xml = await host.exec([...virsh, 'dumpxml', vm.id]);
    assert.match(xml, /<interface(?:(?!<\/interface>).)*<boot order='1'\/>/s);
    assert.match(xml, /<title>beta2<\/title>/);
    await cloud().kvasir('vm', 'stop', 'beta2', '--force', '--wait');
    await cloud().kvasir('vm', 'update', 'beta2', '--boot-order', 'disk');
    await cloud().kvasir('vm', 'start', 'beta2', '--wait');
    await booted(host, vm.id);
    assert.equal(await shell('nproc'), '1');
    assert.ok((await memoryKib()) < 128 * 1024);
    const now = await cloud().vm('beta2');
    assert.deepEqual([now.cpus, now.memoryMib, now.drift], [1, 128, []]);
  });
});
