/**
 * What happens on a host behind Kvasir's back, is seen and never undone: virsh, crashes, foreign domains, a restarted
 * libvirt, a cut cable, a lost host.
 */
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import type { HostDomain } from '@kvasir/api/resources/host.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { isRunning, signal, until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';
import { tinyDomainXml } from './testing/tiny-domain.ts';

describe('hosts tell the truth', { timeout: 400_000 }, () => {
  const cloud = useCloud();
  let vm: Vm;
  let host: LabHost;

  const onHost = (...argv: string[]): Promise<string> => host.exec([...virsh, ...argv]);
  const bootOf = (): Promise<string> => guestShell(host, vm.id, 'cat /proc/sys/kernel/random/boot_id');
  const start = async (): Promise<void> => {
    await cloud().kvasir('vm', 'start', 'watched', '--wait');
    await booted(host, vm.id);
  };
  /** Whatever an agent does when it starts is done: the host is up by its hello alone. */
  const anotherAgent = async (): Promise<void> => {
    await cloud().lab.killAgent(host.name, { stayDown: true });
    await cloud().untilHost(host.name, 'down');
    await cloud().lab.startAgent(host.name);
    await cloud().untilHost(host.name, 'up');
  };
  const domains = async (): Promise<readonly HostDomain[]> => cloud().kvasir('host', 'domains', host.name);

  before(async () => {
    // What is seen is to stay as it is: high availability would restart what fails here.
    await cloud().kvasir('cluster', 'update', 'default', '--no-ha-enabled');
    vm = await cloud().createVm('watched', '--host', 'h1', '--network', 'default');
    host = cloud().lab.host('h1');
    await booted(host, vm.id);
  });

  it('a VM that somebody shuts down or destroys with virsh is shown stopped within a second, with the reason', async () => {
    for (const [act, reason, state] of [
      ['shutdown', 'shutdown', 'shut off'],
      ['destroy', 'destroyed', 'shut off'],
    ] as const) {
      await onHost(act, vm.id);
      await until(`the domain ${state}`, 30_000, async () => (await onHost('domstate', vm.id)).trim() === state);
      const seen = await cloud().untilVm(`${act} seen`, vm.id, (now) => now.state === 'stopped', 1_000);
      assert.equal(seen.stateReason, reason);
      assert.equal(seen.startedAt, null);
      const told = (await cloud().eventsOf(vm.id)).filter(({ kind }) => kind === 'vm.state-changed').at(-1);
      assert.match(told?.message ?? '', new RegExp(`stopped: ${reason}`));
      await onHost('start', vm.id);
      const again = await cloud().untilVm('start seen', vm.id, (now) => now.state === 'running', 1_000);
      assert.ok(again.startedAt !== null);
      await booted(host, vm.id);
    }
  });

  it('a VM whose QEMU is killed is shown crashed, with an error event, and can be started', async () => {
    const pid = Number(await host.exec(['cat', `/run/libvirt/qemu/watched-${vm.id.slice(0, 8)}.pid`]));
    const qemu = host.processInside(pid);
    assert.ok(qemu !== undefined && isRunning(qemu));
    signal(qemu, 'SIGKILL');
    await cloud().untilVm('the crash', vm.id, (now) => now.state === 'crashed', 3_000);
    const told = (await cloud().eventsOf(vm.id)).filter(({ kind }) => kind === 'vm.state-changed').at(-1);
    assert.match(told?.message ?? '', /crashed/);
    await start();
  });

  it('a disk and a balloon that somebody sets with virsh are shown as drift, and are left as they are', async () => {
    await host.exec(['qemu-img', 'create', '-q', '-f', 'raw', '/srv/kvasir/local/extra.raw', '16M']);
    await onHost('attach-disk', vm.id, '/srv/kvasir/local/extra.raw', 'vdq', '--live', '--driver', 'qemu');
    await cloud().untilVm('the disk', vm.id, ({ drift }) => drift.some((line) => line.includes('extra.raw')), 3_000);
    await onHost('setmem', vm.id, '100M', '--live');
    await cloud().untilVm('the balloon', vm.id, ({ drift }) => drift.some((line) => line.includes('100 MiB')), 10_000);
    await anotherAgent();
    assert.equal((await cloud().vm(vm.id)).drift.length, 2);
    await onHost('setmem', vm.id, '128M', '--live');
    await onHost('detach-disk', vm.id, 'vdq', '--live');
    await cloud().untilVm('nothing but what we made', vm.id, ({ drift }) => drift.length === 0, 10_000);
  });

  it('a domain that somebody made is listed and left alone, also by an agent that starts', async () => {
    copyFileSync(cloud().imagePath, host.path('/srv/kvasir/local/foreign.qcow2'));
    const xml = tinyDomainXml({ name: 'foreign', disk: '/srv/kvasir/local/foreign.qcow2' });
    writeFileSync(host.path('/srv/kvasir/local/foreign.xml'), xml);
    await onHost('define', '/srv/kvasir/local/foreign.xml');
    await onHost('start', 'foreign');
    const listed = await until('the foreign domain', 5_000, async () => {
      const found = (await domains()).find(({ name }) => name === 'foreign');
      return found?.state === 'running' ? found : undefined;
    });
    assert.deepEqual([listed.managed, listed.vmId], [false, null]);
    assert.deepEqual(
      (await cloud().kvasir<readonly Vm[]>('vm', 'list')).map(({ name }) => name),
      ['watched'],
    );
    await anotherAgent();
    const later = (await domains()).find(({ name }) => name === 'foreign');
    assert.equal(later?.state, 'running');
    assert.equal((await onHost('domstate', 'foreign')).trim(), 'running');
    await onHost('destroy', 'foreign');
    await onHost('undefine', 'foreign');
    await until('the list without it', 5_000, async () => (await domains()).every(({ name }) => name !== 'foreign'));
  });

  it('a libvirt that is killed takes no VM with it; the agent finds it again and the states are right', async () => {
    const boot = await bootOf();
    const pid = Number(await host.exec(['cat', '/run/libvirtd.pid']));
    const daemon = host.processInside(pid);
    assert.ok(daemon !== undefined);
    signal(daemon, 'SIGKILL');
    await until(
      'another libvirtd',
      20_000,
      async () => (await host.tryExec([...virsh, 'domstate', vm.id])).exitCode === 0,
    );
    assert.equal(await bootOf(), boot);
    assert.equal((await cloud().vm(vm.id)).state, 'running');
    await until('the agent with it', 30_000, async () => {
      const result = await cloud().cloud.cli(['vm', 'pause', 'watched', '--wait']);
      return result.exitCode === 0;
    });
    assert.equal((await onHost('domstate', vm.id)).trim(), 'paused');
    await cloud().kvasir('vm', 'resume', 'watched', '--wait');
    for (const [act, state] of [
      ['suspend', 'paused'],
      ['resume', 'running'],
    ] as const) {
      await onHost(act, vm.id);
      await cloud().untilVm(`${act} seen`, vm.id, (now) => now.state === state, 3_000);
    }
    assert.equal(await bootOf(), boot);
  });

  it('behind a cut cable a VM is unknown and is started nowhere else; healed it is seen running as ever', async () => {
    const boot = await bootOf();
    await cloud().lab.cut(host.name, ['management']);
    await cloud().untilHost(host.name, 'down');
    await cloud().untilState(vm.id, 'unknown');
    for (const act of [['start'], ['migrate', 'h2'], ['delete', '--force', '--purge']] as const) {
      const [verb, ...more] = act;
      const said = await cloud().refused('vm', verb ?? '', 'watched', ...more);
      assert.match(said, /unknown.*may still be running/s);
    }
    assert.equal((await onHost('domstate', vm.id)).trim(), 'running');
    await cloud().lab.heal(host.name, ['management']);
    await cloud().untilHost(host.name, 'up');
    await cloud().untilState(vm.id, 'running');
    assert.equal(await bootOf(), boot);
  });

  it('a host without power leaves its VMs unknown; with power again they are off, and start with their data', async () => {
    await guestShell(host, vm.id, 'echo durable >/mnt/note; sync');
    await cloud().lab.powerOff(host.name);
    await cloud().untilHost(host.name, 'down');
    await cloud().untilState(vm.id, 'unknown');
    assert.match(await cloud().refused('vm', 'start', 'watched'), /unknown.*may still be running/s);
    await cloud().lab.powerOn(host.name);
    await cloud().untilHost(host.name, 'up');
    const back = await cloud().untilVm('its state', vm.id, ({ state }) => state === 'crashed' || state === 'stopped');
    assert.equal(back.startedAt, null);
    await start();
    assert.equal(await guestShell(host, vm.id, 'cat /mnt/note'), 'durable');
  });
});
