/** VMs that fail by themselves, on real QEMU: a guest panics, QEMU is killed, a guest shuts itself down. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';

/**
 * The guest's kernel has no driver for the i6300ESB, so its registers are written by hand: both stages of the timer (about a
 * second each), each write unlocked first, then the enable bit in its PCI configuration.
 */
const armWatchdog = [
  'd=$(dirname $(grep -l 0x25ab /sys/bus/pci/devices/*/device))',
  'echo 1 >$d/enable',
  'bar=$(head -n1 $d/resource | cut -d" " -f1)',
  'unlock() { devmem $((bar + 12)) 16 0x80; devmem $((bar + 12)) 16 0x86; }',
  'unlock; devmem $((bar)) 32 0x400',
  'unlock; devmem $((bar + 4)) 32 0x400',
  'printf "\\002" | dd of=$d/config bs=1 seek=104 conv=notrunc 2>/dev/null',
].join('\n');

describe('a VM that fails by itself', { timeout: 400_000 }, () => {
  const cloud = useCloud();

  it('is restarted in place when its guest panics, and its timeline says why', async () => {
    const vm = await cloud().createVm('fragile', '--host', 'h1');
    await booted(cloud().hostOf(vm), vm.id);
    const boot = await guestShell(cloud().hostOf(vm), vm.id, 'cat /proc/sys/kernel/random/boot_id');
    await guestShell(
      cloud().hostOf(vm),
      vm.id,
      '(sleep 1; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &',
    );
    await until('the panic is seen', 30_000, async () =>
      (await cloud().eventsOf(vm.id)).some(
        ({ kind, message }) => kind === 'ha.vm-failed' && /its guest panicked/.test(message),
      ),
    );
    const again = await cloud().untilState(vm.id, 'running', 30_000);
    assert.equal(again.hostName, 'h1');
    await booted(cloud().hostOf(again), vm.id);
    assert.notEqual(await guestShell(cloud().hostOf(again), vm.id, 'cat /proc/sys/kernel/random/boot_id'), boot);
    const { items } = await cloud().client.call(haOperations.list, { query: {} });
    const incident = items.find(({ because }) => because.includes('fragile'));
    assert.ok(incident, JSON.stringify(items));
    const { timeline, restarts } = await until('the incident is over', 30_000, async () => {
      const found = await cloud().client.call(haOperations.get, { params: { incident: incident.id } });
      return found.closedAt === null ? undefined : found;
    });
    assert.ok(
      timeline.some(({ because }) => because === 'its guest panicked'),
      JSON.stringify(timeline),
    );
    assert.deepEqual(
      restarts.map(({ state }) => state),
      ['recovered'],
    );
  });

  it('is restarted when its QEMU is killed', async () => {
    const vm = await cloud().vm('fragile');
    const host = cloud().hostOf(vm);
    const name = (await host.exec([...virsh, 'domname', vm.id])).trim();
    const pid = () => Number(readFileSync(host.path(`/run/libvirt/qemu/${name}.pid`), 'utf8'));
    const before = pid();
    await host.exec(['kill', '-9', String(before)]);
    await cloud().untilVm(
      'it runs anew',
      vm.id,
      (now) => now.state === 'running' && now.startedAt !== vm.startedAt,
      60_000,
    );
    await booted(cloud().hostOf(await cloud().vm('fragile')), vm.id);
    assert.notEqual(pid(), before);
    const kinds = (await cloud().eventsOf(vm.id)).filter(({ kind }) => kind === 'ha.vm-failed');
    assert.equal(kinds.length, 2);
  });

  it('is reset when its guest lets its watchdog run out', async () => {
    const vm = await cloud().vm('fragile');
    const boot = await guestShell(cloud().hostOf(vm), vm.id, 'cat /proc/sys/kernel/random/boot_id');
    await guestShell(cloud().hostOf(vm), vm.id, armWatchdog);
    await until('the watchdog is heard', 30_000, async () =>
      (await cloud().eventsOf(vm.id)).some(
        ({ kind, message }) => kind === 'ha.vm-failed' && /is reset: its guest let its watchdog run out/.test(message),
      ),
    );
    await until('another boot', 60_000, async () => {
      const now = await guestShell(cloud().hostOf(vm), vm.id, 'cat /proc/sys/kernel/random/boot_id').catch(() => boot);
      return now !== boot;
    });
    assert.equal((await cloud().vm('fragile')).hostName, vm.hostName);
  });

  it('stays off when its guest shut it down', async () => {
    const vm = await cloud().vm('fragile');
    await guestShell(cloud().hostOf(vm), vm.id, '(sleep 1; poweroff -f) >/dev/null 2>&1 </dev/null &');
    const off = await cloud().untilState(vm.id, 'stopped', 30_000);
    assert.equal(off.desiredState, 'stopped');
    await until('nothing is under way', 10_000, async () => (await cloud().vm('fragile')).taskId === null);
    assert.equal((await cloud().vm('fragile')).state, 'stopped');
    await cloud().purge('fragile');
  });
});
