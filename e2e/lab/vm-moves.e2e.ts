/** A running VM moves between hosts: with shared storage, with its disks, interrupted, and not where it cannot work. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { until } from '@kvasir/lab/processes.ts';
import { type TestCloud, useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';

function staticAddress(macAddress: string, address: string): string {
  return JSON.stringify({
    version: 2,
    ethernets: { nic: { match: { macaddress: macAddress }, addresses: [address] } },
  });
}

/** What a host has of a VM: domain, seed, volumes, ports. */
async function tracesOn(cloud: TestCloud, hostName: string, vm: Vm): Promise<string> {
  const host = cloud.lab.host(hostName);
  const domains = await host.exec([...virsh, 'list', '--all', '--uuid']);
  const files = await host.exec(['find', '/srv/kvasir/local', '/var/lib/kvasir/seeds', '-type', 'f']);
  const ports = await host.exec(['ovs-vsctl', '--columns=external_ids', 'list', 'Interface']);
  const ids = [vm.id, ...vm.disks.map(({ volumeId }) => volumeId), ...vm.nics.map(({ id }) => id)];
  return [domains, files, ports]
    .join('\n')
    .split('\n')
    .filter((line) => ids.some((id) => line.includes(id)))
    .join('\n');
}

describe('a VM moves', { timeout: 400_000 }, () => {
  const cloud = useCloud();
  const on = (vm: Vm, line: string): Promise<string> => guestShell(cloud().hostOf(vm), vm.id, line);
  const bootOf = (vm: Vm): Promise<string> => on(vm, 'cat /proc/sys/kernel/random/boot_id');
  const taskOf = (id: string) => cloud().client.call(taskOperations.get, { params: { task: id } });

  let moving: Vm;

  it('on shared storage it goes on without a restart, and others reach it all the time', async () => {
    const make = (name: string, host: string, mac: string, address: string): Promise<Vm> =>
      cloud().createVm(
        name,
        '--host',
        host,
        '--nics',
        `network=default,macAddress=${mac}`,
        '--cloud-init-network-config',
        staticAddress(mac, address),
      );
    moving = await make('moving', 'h1', '52:54:00:cc:00:01', '10.9.2.1/24');
    const peer = await make('peer', 'h3', '52:54:00:cc:00:02', '10.9.2.2/24');
    await Promise.all([moving, peer].map((vm) => booted(cloud().hostOf(vm), vm.id)));
    await on(
      moving,
      '(n=0; while :; do n=$((n+1)); echo $n >/run/count; usleep 50000; done) >/dev/null 2>&1 </dev/null &',
    );
    await on(peer, 'ping -c 1 -W 10 10.9.2.1');
    await on(peer, 'ping 10.9.2.1 >/run/ping 2>&1 </dev/null & echo $! >/run/ping.pid');
    const boot = await bootOf(moving);
    const count = Number(await on(moving, 'cat /run/count'));

    await cloud().kvasir('vm', 'migrate', 'moving', 'h2', '--wait');

    const moved = await cloud().vm('moving');
    moving = moved;
    assert.deepEqual([moved.hostName, moved.state, moved.drift], ['h2', 'running', []]);
    assert.equal(await bootOf(moved), boot);
    await until('the counter goes on', 10_000, async () => Number(await on(moved, 'cat /run/count')) > count + 10);
    await on(peer, 'sleep 1; kill -INT $(cat /run/ping.pid)');
    const [, sent, received] =
      /(\d+) packets transmitted, (\d+) packets received/.exec(await on(peer, 'cat /run/ping')) ?? [];
    assert.ok(Number(received) > 0 && Number(sent) - Number(received) <= 3, `${received} of ${sent} pings answered`);
    assert.equal(await tracesOn(cloud(), 'h1', moved), '');
    const task = (await cloud().client.call(taskOperations.list, { query: { kind: 'vm-migrate' } })).items.at(-1);
    assert.ok(
      (task?.progress.downtimeMs ?? 0) > 0 && (task?.progress.bytesTotal ?? 0) > 1_000_000,
      JSON.stringify(task),
    );
    await cloud().purge('peer');
  });

  it('its progress is seen, and cancelled it stays where it is and leaves nothing at the other end', async () => {
    const boot = await bootOf(moving);
    const { id } = await cloud().kvasir<{ id: string }>('vm', 'migrate', 'moving', 'h3', '--bandwidth-mibps', '2');
    const underWay = await until('bytes on their way', 30_000, async () => {
      const { progress } = await taskOf(id);
      return (progress.bytesDone ?? 0) > 500_000 && progress.percent > 0 ? progress : undefined;
    });
    assert.ok(
      underWay.percent < 100 && (underWay.bytesTotal ?? 0) > (underWay.bytesDone ?? 0),
      JSON.stringify(underWay),
    );
    await cloud().kvasir('task', 'cancel', id);
    assert.equal((await cloud().ended(id, 30_000)).state, 'cancelled');
    const stayed = await cloud().vm('moving');
    assert.deepEqual([stayed.hostName, stayed.state, stayed.taskId], ['h2', 'running', null]);
    assert.equal(await bootOf(stayed), boot);
    assert.equal(await tracesOn(cloud(), 'h3', stayed), '');
    await cloud().kvasir('vm', 'migrate', 'moving', 'h3', '--wait');
    assert.equal(await bootOf(await cloud().vm('moving')), boot);
  });

  it('paused it moves, too, and stays paused', async () => {
    await cloud().kvasir('vm', 'pause', 'moving', '--wait');
    await cloud().kvasir('vm', 'migrate', 'moving', 'h1', '--wait');
    const moved = await cloud().vm('moving');
    assert.deepEqual([moved.hostName, moved.state], ['h1', 'paused']);
    await cloud().kvasir('vm', 'resume', 'moving', '--wait');
  });

  it('with its disk in a local pool it takes the content along, and the source keeps no copy', async () => {
    const h1 = cloud().lab.host('h1');
    mkdirSync(h1.path('/srv/kvasir/local/import'), { recursive: true });
    copyFileSync(cloud().imagePath, h1.path('/srv/kvasir/local/import/tiny.qcow2'));
    await cloud().kvasir(
      'image',
      'import',
      'near',
      '--pool',
      'local',
      '--host',
      'h1',
      '--file',
      'tiny.qcow2',
      '--wait',
    );
    await cloud().kvasir('vm', 'create', 'settled', '--image', 'near', '--host', 'h1', '--memory', '128MiB', '--wait');
    const vm = await cloud().vm('settled');
    assert.equal(vm.hostName, 'h1');
    await booted(h1, vm.id);
    await on(vm, 'echo taken along >/mnt/note; dd if=/dev/urandom of=/mnt/data bs=1M count=4 2>/dev/null; sync');
    const sum = await on(vm, 'md5sum </mnt/data');
    assert.match(await cloud().refused('vm', 'migrate', 'settled', 'h2', '--no-copy-storage'), /local pool/);

    await cloud().kvasir('vm', 'migrate', 'settled', 'h2', '--wait');

    const moved = await cloud().vm('settled');
    assert.deepEqual([moved.hostName, moved.state, moved.drift], ['h2', 'running', []]);
    assert.equal(await tracesOn(cloud(), 'h1', moved), '');
    const volume = await cloud().client.call(volumeOperations.get, {
      params: { volume: moved.disks[0]?.volumeId ?? '' },
    });
    assert.deepEqual([volume.hostId, volume.linked], [moved.hostId, false]);
    await cloud().kvasir('vm', 'stop', 'settled', '--wait');
    await cloud().kvasir('vm', 'start', 'settled', '--wait');
    await booted(cloud().hostOf(moved), moved.id);
    assert.equal(await on(moved, 'cat /mnt/note'), 'taken along');
    assert.equal(await on(moved, 'md5sum </mnt/data'), sum);
    await cloud().purge('settled');
  });

  it('where it cannot work it is refused with the reason before it starts', async () => {
    const refusal = (...argv: string[]): Promise<string> => cloud().refused('vm', 'migrate', 'moving', ...argv);
    assert.match(await refusal('h1'), /on that host already/);
    await cloud().kvasir('host', 'update', 'h2', '--no-schedulable');
    assert.match(await refusal('h2'), /h2/);
    await cloud().kvasir('host', 'update', 'h2', '--schedulable');
    await cloud().lab.cut('h3', ['management']);
    await cloud().untilHost('h3', 'down');
    assert.match(await refusal('h3'), /h3.*(down|not connected)/);
    await cloud().lab.heal('h3', ['management']);
    await cloud().untilHost('h3', 'up');
    await cloud().kvasir('vm', 'stop', 'moving', '--force', '--wait');
    assert.match(await refusal('h2'), /stopped/);
    assert.equal((await cloud().vm('moving')).hostName, 'h1');
  });
});
