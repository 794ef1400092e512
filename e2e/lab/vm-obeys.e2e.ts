/** A VM does what it is told: consoles, power, suspend, trash. One guest serves all tests, in the order of the file. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, guestUptime, virsh } from './testing/guest.ts';
import { connectConsole, consoleTicket, readPng, rfbHandshake } from './testing/screen.ts';

describe('a VM obeys', { timeout: 400_000 }, () => {
  const cloud = useCloud();
  let vm: Vm;
  let host: LabHost;

  const shell = (line: string): Promise<string> => guestShell(host, vm.id, line);
  const domainState = async (): Promise<string> => (await host.exec([...virsh, 'domstate', '--reason', vm.id])).trim();

  before(async () => {
    vm = await cloud().createVm('alpha', '--network', 'default');
    host = cloud().hostOf(vm);
    await booted(host, vm.id);
  });

  it('its serial console takes a command and shows the answer', async () => {
    const type = ['vm', 'console', 'alpha', '--until', 'answer=42', '--timeout', '30'];
    const session = await cloud().cloud.cli(type, { input: '\necho answer=$((6*7))\n' });
    assert.equal(session.exitCode, 0, session.stderr);
    assert.match(session.stdout, /answer=42/);
  });

  it('its screen opens with a ticket, which works once, and its picture is a PNG of that size', async () => {
    const ticket = await consoleTicket(cloud().client, 'alpha', 'vnc');
    const socket = await connectConsole(ticket);
    const size = await rfbHandshake(socket);
    socket.close();
    await assert.rejects(connectConsole(ticket), /refused/);
    await assert.rejects(connectConsole({ ...ticket, ticket: 'made-up' }), /refused/);

    await shell('echo something to see >/dev/tty0');
    const file = join(cloud().directory, 'alpha.png');
    await until('a picture that is not black', 20_000, async () => {
      assert.equal((await cloud().cloud.cli(['vm', 'screenshot', 'alpha', '-f', file])).exitCode, 0);
      const { black, ...picture } = readPng(readFileSync(file));
      assert.deepEqual(picture, size);
      return !black;
    });
  });

  it('paused it stands still, resumed it goes on', async () => {
    await cloud().kvasir('vm', 'pause', 'alpha', '--wait');
    assert.equal((await cloud().vm('alpha')).state, 'paused');
    assert.match(await domainState(), /^paused/);
    assert.match(await cloud().refused('vm', 'pause', 'alpha'), /paused/);
    await cloud().kvasir('vm', 'resume', 'alpha', '--wait');
    assert.equal((await cloud().vm('alpha')).state, 'running');
    assert.match(await domainState(), /^running/);
  });

  it('suspended it is off and keeps its memory; started it goes on where it was', async () => {
    await shell('echo kept >/run/marker');
    const uptime = await guestUptime(host, vm.id);
    await cloud().kvasir('vm', 'suspend', 'alpha', '--wait');
    assert.equal((await cloud().vm('alpha')).state, 'suspended');
    assert.match(await domainState(), /^shut off/);
    await cloud().kvasir('vm', 'start', 'alpha', '--wait');
    await booted(host, vm.id);
    assert.equal(await shell('cat /run/marker'), 'kept');
    assert.ok((await guestUptime(host, vm.id)) >= uptime);
  });

  it('reset it boots anew', async () => {
    const bootOf = (): Promise<string> => shell('cat /proc/sys/kernel/random/boot_id');
    const before = await bootOf();
    await cloud().kvasir('vm', 'reset', 'alpha', '--wait');
    assert.equal((await cloud().vm('alpha')).state, 'running');
    await until('another boot', 60_000, () =>
      bootOf().then(
        (now) => now !== before,
        () => false,
      ),
    );
    await assert.rejects(shell('cat /run/marker'));
  });

  it('asked to stop the guest shuts itself down, and what it wrote is there after the next start', async () => {
    await shell('echo written >/mnt/note');
    const began = performance.now();
    await cloud().kvasir('vm', 'stop', 'alpha', '--timeout-ms', '60000', '--wait');
    assert.ok(performance.now() - began < 50_000, 'it did not wait for its time to be over');
    assert.equal((await cloud().vm('alpha')).state, 'stopped');
    assert.equal(await domainState(), 'shut off (shutdown)');
    await cloud().kvasir('vm', 'start', 'alpha', '--wait');
    await booted(host, vm.id);
    assert.equal(await shell('cat /mnt/note'), 'written');
    assert.equal(await shell('dmesg | grep -c "vda2.*recovery complete" || true'), '0', 'it was unmounted');
  });

  it('a guest that does not hear the power button is switched off when its time is over', async () => {
    await shell('killall acpid');
    const began = performance.now();
    await cloud().kvasir('vm', 'stop', 'alpha', '--timeout-ms', '3000', '--wait');
    assert.ok(performance.now() - began >= 3000);
    assert.equal((await cloud().vm('alpha')).state, 'stopped');
    assert.equal(await domainState(), 'shut off (destroyed)');
  });

  it('started paused it has not run an instruction, and goes on when it is told', async () => {
    await cloud().kvasir('vm', 'start', 'alpha', '--paused', '--wait');
    assert.equal((await cloud().vm('alpha')).state, 'paused');
    const { stdout } = await host.tryExec([...virsh, 'domstats', '--vcpu', vm.id]);
    assert.ok(Number(/vcpu.0.time=([0-9]+)/.exec(stdout)?.[1] ?? '0') < 1_000_000_000, stdout);
    await cloud().kvasir('vm', 'resume', 'alpha', '--wait');
    assert.match(await domainState(), /^running/);
  });

  it('stopped by force it is off at once', async () => {
    await cloud().kvasir('vm', 'stop', 'alpha', '--force', '--wait');
    assert.equal(await domainState(), 'shut off (destroyed)');
    const events = (await cloud().eventsOf(vm.id)).filter(({ kind }) => kind === 'vm.state-changed');
    assert.match(events.at(-1)?.message ?? '', /alpha.* is stopped/);
  });

  it('running it is not deleted without force, and the refusal says so', async () => {
    await cloud().kvasir('vm', 'start', 'alpha', '--paused', '--wait');
    assert.match(await cloud().refused('vm', 'delete', 'alpha'), /paused/);
    assert.equal((await cloud().vm('alpha')).state, 'paused');
  });

  it('deleted it lies in the trash, restored it works as before', async () => {
    await cloud().kvasir('vm', 'delete', 'alpha', '--force', '--wait');
    assert.deepEqual(await cloud().kvasir('vm', 'list'), []);
    const trashed = await cloud().vm(vm.id);
    assert.equal(trashed.state, 'trashed');
    assert.ok(trashed.purgeAt !== null);
    await cloud().kvasir('vm', 'restore', 'alpha', '--wait');
    vm = await cloud().vm('alpha');
    host = cloud().hostOf(vm);
    assert.equal(vm.state, 'stopped');
    await cloud().kvasir('vm', 'start', 'alpha', '--wait');
    await booted(host, vm.id);
    assert.equal(await shell('cat /mnt/note'), 'written');
  });

  it('purged nothing of it is left on any host', async () => {
    const volumeId = vm.disks[0]?.volumeId ?? '';
    const nicId = vm.nics[0]?.id ?? '';
    const traces = async (): Promise<string> => {
      const all = cloud()
        .lab.hosts()
        .map(async (each) => {
          const domains = await each.exec([...virsh, 'list', '--all', '--uuid']);
          const ports = await each.exec(['ovs-vsctl', 'list', 'Interface']);
          const links = await each.exec(['ip', '-o', 'link']);
          const files = await each.exec(['find', '/srv/kvasir', '/var/lib/kvasir', '/var/lib/libvirt', '-type', 'f']);
          return [domains, ports, links, files.replaceAll(/.*\/journal.*\n/g, '')].join('\n');
        });
      return (await Promise.all(all))
        .join('\n')
        .split('\n')
        .filter((line) => [vm.id, volumeId, nicId].some((id) => line.includes(id)))
        .join('\n');
    };
    for (const id of [vm.id, volumeId, nicId]) assert.ok((await traces()).includes(id), `${id} is there before`);
    await cloud().purge('alpha');
    assert.equal(await traces(), '');
    assert.equal(await cloud().isGone(vm.id), true);
  });
});
