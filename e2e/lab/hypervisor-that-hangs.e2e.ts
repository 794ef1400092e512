/**
 * A libvirtd that stands still, on real hosts: it is seen, what is asked of it fails, and all goes on when it does. When the storage
 * hangs with it, its VMs are ended all the same, and run elsewhere before it goes on.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { isRunning, type ProcessIdentity, signal, until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted } from './testing/guest.ts';
import { hasProcess, processesWith } from './testing/leases.ts';

const leaseMs = 9000;

describe('a hypervisor that hangs', { timeout: 300_000 }, () => {
  const cloud = useCloud();

  const daemonOf = async (host: LabHost): Promise<ProcessIdentity> => {
    const found = host.processInside(Number(await host.exec(['cat', '/run/libvirtd.pid'])));
    assert.ok(found !== undefined);
    return found;
  };
  const untilHa = async (state: string, timeoutMs = 60_000): Promise<void> => {
    await until(`h1 ${state}`, timeoutMs, async () => {
      const { ha } = await cloud().client.call(hostOperations.get, { params: { host: 'h1' } });
      return ha.state === state;
    });
  };

  it('is told, refuses what is asked of it, and leaves its VMs as they are', async (test) => {
    const vm = await cloud().createVm('still', '--host', 'h1');
    const host = cloud().lab.host('h1');
    await booted(host, vm.id);
    const [qemu] = processesWith(host, '-uuid', vm.id);
    const daemon = await daemonOf(host);
    signal(daemon, 'SIGSTOP');
    const stoppedAt = performance.now();
    try {
      await untilHa('hypervisor-lost');
      test.diagnostic(`told after ${Math.round((performance.now() - stoppedAt) / 1000)} s`);
      assert.equal(await cloud().hostState('h1'), 'up');
      const askedAt = performance.now();
      assert.match(await cloud().refused('vm', 'screenshot', 'still', '--file', '/dev/null'), /has not answered for/);
      const create = ['vm', 'create', 'other', '--image', 'tiny', '--cpus', '1', '--memory', '128MiB', '--host', 'h1'];
      assert.match(await cloud().refused(...create), /its hypervisor does not answer/);
      assert.ok(performance.now() - askedAt < 10_000);
      assert.equal((await cloud().vm('still')).state, 'running');
    } finally {
      signal(daemon, 'SIGCONT');
    }
    await untilHa('running');
    await cloud().kvasir('vm', 'pause', 'still', '--wait');
    await cloud().kvasir('vm', 'resume', 'still', '--wait');
    assert.ok(qemu !== undefined && isRunning(qemu), 'the same QEMU all the time');
  });

  it('loses its VMs to other hosts when the storage hangs, too, and with them a start that hangs in it', async () => {
    const vm = await cloud().vm('still');
    const host = cloud().lab.host('h1');
    const init = host.init();
    const daemon = await daemonOf(host);
    signal(daemon, 'SIGSTOP');
    await cloud().lab.cut('h1', ['storage']);
    const cutAt = performance.now();
    await until('the end of the VM', 20_000, () => !hasProcess(host, vm.id));
    assert.ok(performance.now() - cutAt < leaseMs);
    const moved = await cloud().untilVm(
      'it runs elsewhere',
      vm.id,
      ({ state, hostName }) => state === 'running' && hostName !== 'h1',
      90_000,
    );
    assert.ok(isRunning(daemon), 'libvirtd stands still');

    // As the agent notes it before it asks libvirtd.
    const { id } = await cloud().client.call(hostOperations.get, { params: { host: 'h1' } });
    const pool = await cloud().client.call(poolOperations.get, { params: { pool: 'shared' } });
    const note = JSON.stringify({ vmId: vm.id, poolIds: [pool.id], socketPath: '/run/libvirt/libvirt-sock' });
    const directory = `/run/kvasir/starts-${id}`;
    await host.exec(['mkdir', '-p', directory]);
    await host.exec(['tee', `${directory}/${vm.id}.json`], { input: note });
    await until('the end of libvirtd', 10_000, () => !isRunning(daemon));
    await until('that the start is over', 10_000, async () => (await host.exec(['ls', directory])).trim() === '');
    await until('another libvirtd', 30_000, async () => {
      const pid = Number((await host.tryExec(['cat', '/run/libvirtd.pid'])).stdout);
      const now = pid > 0 ? host.processInside(pid) : undefined;
      return now !== undefined && now.pid !== daemon.pid && isRunning(now);
    });

    await cloud().lab.heal('h1', ['storage']);
    await untilHa('running');
    assert.deepEqual(host.init(), init, 'the host was not reset');
    const now = await cloud().vm('still');
    assert.deepEqual([now.state, now.hostName, now.startedAt], ['running', moved.hostName, moved.startedAt]);
    assert.equal(hasProcess(host, vm.id), false);
    await cloud().purge('still');
  });
});
