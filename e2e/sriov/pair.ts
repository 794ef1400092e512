/**
 * When QEMU says what of a failover pair that migrates: the agent takes the source's function back and gives the destination's its
 * address by these events (`agent/drivers/libvirt/function-watch.ts`). Two QEMUs and a guest with `net_failover`; an emulated
 * `e1000e` stands for the function, which nothing here can pass through. Ends with `N passed, N failed`; run by hand, as root;
 * with `--installed-qemu` it takes the machine's own QEMU.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { counts, holds, print } from './checks.ts';
import { initramfs } from './initramfs.ts';
import { Machine } from './machine.ts';
import { unpackedPackages } from './packages.ts';

const cache = '/var/cache/kvasir/sriov';
const modules = ['virtio_pci', 'net_failover', 'virtio_net', 'e1000e'];
const mac = '52:54:00:00:00:2a';

mkdirSync(cache, { recursive: true });
const unpacked = await unpackedPackages(cache);
const packages = process.argv.includes('--installed-qemu')
  ? { ...unpacked, qemu: '/', qemuVersion: 'as installed' }
  : unpacked;
print(`QEMU ${packages.qemuVersion}, Linux ${packages.kernelVersion}`);
const work = mkdtempSync(join(cache, 'pair-'));
const initrd = await initramfs(work, packages, 'pair-init', modules);
const machines: Machine[] = [];

async function machine(name: string, ...more: readonly string[]): Promise<Machine> {
  const made = new Machine(packages, join(work, `${name}.qmp`), [
    ...['-machine', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '256', '-nodefaults', '-no-reboot'],
    ...['-kernel', join(packages.kernel, 'boot', `vmlinuz-${packages.release}`), '-initrd', initrd],
    ...['-append', 'console=ttyS0 quiet mitigations=off nopti no_timer_check random.trust_cpu=on'],
    ...['-netdev', 'hubport,id=a,hubid=1', '-netdev', 'hubport,id=b,hubid=1'],
    ...['-device', 'pcie-root-port,id=slot1,chassis=1', '-device', 'pcie-root-port,id=slot2,chassis=2'],
    ...['-device', `virtio-net-pci,netdev=a,id=ua-nic-a,mac=${mac},bus=slot1,failover=on`],
    ...['-device', `e1000e,netdev=b,id=function,mac=${mac},bus=slot2,failover_pair_id=ua-nic-a,romfile=`],
    ...more,
  ]);
  machines.push(made);
  await made.open();
  await made.ask('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
  return made;
}

let incoming = 0;

/** One that waits for the guest, and where. */
async function destination(): Promise<{ readonly made: Machine; readonly uri: string }> {
  const uri = `unix:${join(work, `migration-${++incoming}`)}`;
  return { made: await machine(`destination-${incoming}`, '-incoming', uri), uri };
}

const slow = (source: Machine, bytes: number) => source.ask('migrate-set-parameters', { 'max-bandwidth': bytes });

/** The order of these words among what was heard from there on. */
async function inOrder(from: Machine, since: number, words: readonly string[]): Promise<number[]> {
  const at: number[] = [];
  for (const each of words) at.push((await from.hears(each, since)).atMs);
  assert.deepEqual(
    [...at].sort((a, b) => a - b),
    at,
    JSON.stringify(from.heard.slice(since)),
  );
  return at;
}

try {
  const source = await machine('source');
  await source.hears('PAIR with');

  for (const [how, end] of [
    ['is cancelled', 'MIGRATION cancelling'],
    ['fails', 'MIGRATION failed'],
  ] as const) {
    await holds(`a migration that ${how} says so before the guest has its function again`, async () => {
      const since = source.heard.length;
      const { made, uri } = await destination();
      await slow(source, 1000);
      await source.ask('migrate', { uri });
      await inOrder(source, since, ['UNPLUG_PRIMARY', 'MIGRATION wait-unplug', 'PAIR without', 'MIGRATION active']);
      if (end === 'MIGRATION cancelling') await source.ask('migrate_cancel');
      else await made.end();
      const [said, found] = await inOrder(source, since, [end, 'PAIR with']);
      print(`        ${Math.round(found! - said!)} ms between ${end} and the guest's pair`);
      await made.end();
    });
  }

  await holds(
    'a migration: the source goes on when the guest let go, the destination tells of the pair before the guest runs',
    async () => {
      const since = source.heard.length;
      const { made, uri } = await destination();
      await slow(source, 1 << 30);
      await source.ask('migrate', { uri });
      const [, , without, active] = await inOrder(source, since, [
        ...['UNPLUG_PRIMARY', 'MIGRATION wait-unplug', 'PAIR without', 'MIGRATION active', 'MIGRATION completed'],
      ]);
      print(`        ${Math.round(active! - without!)} ms between the guest's letting go and MIGRATION active`);
      const [told, , found] = await inOrder(made, 0, ['FAILOVER_NEGOTIATED', 'RESUME', 'PAIR with']);
      print(`        ${Math.round(found! - told!)} ms between FAILOVER_NEGOTIATED and the guest's pair`);
    },
  );
} finally {
  for (const each of machines) await each.end();
  rmSync(work, { recursive: true });
}
print(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
