/**
 * A host is taken out while its VMs run, on real QEMU: they go on elsewhere without a restart, and the host comes back. So they do when
 * a host has lost the VM networks and the cluster wants them away from there.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { hostMaintenanceOperations } from '@kvasir/api/resources/host-maintenance.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, guestUptime, virsh } from './testing/guest.ts';

describe('a host in maintenance', { timeout: 400_000 }, () => {
  const cloud = useCloud();
  const on = (vm: Vm, line: string): Promise<string> => guestShell(cloud().hostOf(vm), vm.id, line);
  const host = (name: string) => cloud().client.call(hostOperations.get, { params: { host: name } });
  const status = () => cloud().client.call(hostMaintenanceOperations.showMaintenance, { params: { host: 'h1' } });

  it('loses its VMs to other hosts without downtime, and takes no new ones', async () => {
    const running = [await cloud().createVm('one', '--host', 'h1'), await cloud().createVm('two', '--host', 'h1')];
    const resting = await cloud().createVm('resting', '--host', 'h1', '--no-start');
    await Promise.all(running.map((vm) => booted(cloud().hostOf(vm), vm.id)));
    const before = [];
    for (const vm of running) {
      await on(
        vm,
        '(n=0; while :; do n=$((n+1)); echo $n >/run/count; usleep 50000; done) >/dev/null 2>&1 </dev/null &',
      );
      const boot = await on(vm, 'cat /proc/sys/kernel/random/boot_id');
      before.push({ boot, uptime: await guestUptime(cloud().hostOf(vm), vm.id) });
    }

    await cloud().kvasir('host', 'maintenance', 'h1', '--wait');

    const counts: number[] = [];
    for (const [index, { name }] of running.entries()) {
      const vm = await cloud().vm(name);
      assert.notEqual(vm.hostName, 'h1');
      assert.deepEqual([vm.state, vm.drift], ['running', []]);
      assert.equal(await on(vm, 'cat /proc/sys/kernel/random/boot_id'), before[index]?.boot);
      assert.ok((await guestUptime(cloud().hostOf(vm), vm.id)) > (before[index]?.uptime ?? 0));
      counts.push(Number(await on(vm, 'cat /run/count')));
    }
    for (const [index, { name }] of running.entries()) {
      const vm = await cloud().vm(name);
      await until(
        'the counter goes on',
        20_000,
        async () => Number(await on(vm, 'cat /run/count')) > (counts[index] ?? 0),
      );
    }
    assert.notEqual((await cloud().vm('resting')).hostName, 'h1');
    assert.equal(
      (
        await cloud()
          .lab.host('h1')
          .exec([...virsh, 'list', '--all', '--name'])
      ).trim(),
      '',
    );
    const out = await host('h1');
    assert.deepEqual([out.ha.state, out.schedulable, out.allocated.vms], ['maintenance', false, 0]);
    const seen = await status();
    assert.deepEqual([seen.state, seen.total, seen.gone, seen.remaining], ['maintenance', 3, 3, []]);
    assert.match(await cloud().refused('vm', 'migrate', 'one', 'h1'), /h1/);
    await cloud().kvasir('vm', 'start', resting.id, '--wait');
  });

  it('may lose its power then, and nothing happens', async () => {
    const events = (kind: string) => cloud().kvasir<readonly unknown[]>('event', 'list', '--kind', kind);
    await cloud().lab.powerOff('h1');
    await cloud().untilHost('h1', 'down');
    await cloud().lab.powerOn('h1');
    await cloud().untilHost('h1', 'up', 180_000);
    assert.equal((await host('h1')).ha.state, 'maintenance');
    assert.deepEqual(await events('ha.host-lost'), []);
  });

  it('is taken back, and a cancel leaves it in service', async () => {
    await cloud().kvasir('host', 'resume', 'h1');
    assert.equal((await host('h1')).schedulable, true);
    await until('h1 is well', 30_000, async () => (await host('h1')).ha.state === 'running');
    const vm = await cloud().vm('one');
    const from = vm.hostName ?? '';
    const { id } = await cloud().kvasir<{ id: string }>('host', 'maintenance', from, '--parallel', '1');
    await cloud().kvasir('task', 'cancel', id);
    assert.match((await cloud().ended(id)).state, /cancelled|succeeded/);
    const open = await host(from);
    assert.equal(open.schedulable, (await cloud().ended(id)).state === 'cancelled');
    // A move that had begun goes on; in its last moment the VM stands still.
    await until('its end', 60_000, async () => (await cloud().vm('one')).taskId === null);
    await cloud().untilState(vm.id, 'running');
  });

  it('that loses its connection to the VM networks is left by its VMs, which run on', async () => {
    const { client, lab } = cloud();
    await client.call(clusterOperations.update, {
      params: { cluster: 'default' },
      body: { ha: { networkLost: 'restart' } },
    });
    const vm = await cloud().createVm('wired', '--host', 'h1', '--network', 'default');
    const from = 'h1';
    const boot = await on(vm, 'cat /proc/sys/kernel/random/boot_id');
    await lab.cut(from, ['vm']);
    await until('it moves', 60_000, async () => {
      const now = await cloud().vm('wired');
      return now.hostName !== from && now.state === 'running' && now.taskId === null;
    });
    assert.equal(await on(await cloud().vm('wired'), 'cat /proc/sys/kernel/random/boot_id'), boot);
    assert.equal((await host(from)).state, 'up');
    await lab.heal(from, ['vm']);
    await until(`${from} is well again`, 60_000, async () => (await host(from)).ha.state === 'running');
  });
});
