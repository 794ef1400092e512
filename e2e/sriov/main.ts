/**
 * The host's side of SR-IOV on a real kernel: boots a machine with QEMU's `igb` (an Intel 82576 with up to 7 functions) and lets
 * `in-guest.ts` read and set it up with the agent's own code there. Not part of `./kvasir test`, for it needs a QEMU that
 * Debian 12 has in its backports only; run it by hand, as root. Ends with `N passed, N failed` and with 1 when one failed.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutDirectory } from '@kvasir/lab/layout.ts';
import { guestMac, peerMac, tapMac, wireMac } from './addresses.ts';
import { initramfs } from './initramfs.ts';
import { type Unpacked, unpackedPackages } from './packages.ts';

const cache = '/var/cache/kvasir/sriov';
const limitMs = 20 * 60_000;
/** `virtio_net` is the other end of the wire, 9p the way to the checkout. */
const modules = ['virtio_pci', '9pnet_virtio', '9p', 'net_failover', 'virtio_net', '8021q', 'bridge', 'igb', 'igbvf'];

function boot({ qemu, kernel, release }: Unpacked, initrd: string, program: string): Promise<string> {
  const share = join(qemu, 'usr/share');
  const machine = ['-machine', 'q35', '-accel', 'tcg', '-cpu', 'max', '-smp', '2', '-m', '2048', '-nodefaults'];
  const cable = (hubId: number, ...ids: string[]) =>
    ids.flatMap((id) => ['-netdev', `hubport,id=${id},hubid=${hubId}`]);
  const divisible = (slot: number, netdev: string) => [
    ...['-device', `pcie-root-port,id=slot${slot},chassis=${slot},slot=${slot}`],
    ...['-device', `igb,bus=slot${slot},netdev=${netdev}`],
  ];
  const plain = (netdev: string, more = '') => ['-device', `virtio-net-pci,netdev=${netdev}${more}`];
  const child = spawn(
    join(qemu, 'usr/bin/qemu-system-x86_64'),
    [
      ...['-L', join(share, 'qemu'), '-L', join(share, 'seabios'), ...machine],
      ...['-display', 'none', '-serial', 'stdio', '-no-reboot'],
      ...['-kernel', join(kernel, 'boot', `vmlinuz-${release}`), '-initrd', initrd],
      ...['-append', `console=ttyS0 quiet mitigations=off nopti no_timer_check random.trust_cpu=on kvasir=${program}`],
      ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
      ...[...cable(1, 'device', 'other'), ...divisible(1, 'device'), ...plain('other', `,mac=${wireMac}`)],
      // For the move: a source and a destination on one wire with a peer, and a standby NIC with its tap.
      ...[...cable(2, 'source', 'destination', 'peer'), ...divisible(2, 'source'), ...divisible(3, 'destination')],
      ...[...plain('peer', `,mac=${peerMac}`), ...cable(3, 'tap', 'standby'), ...plain('tap', `,mac=${tapMac}`)],
      ...plain('standby', `,mac=${guestMac},failover=on`),
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, QEMU_MODULE_DIR: join(qemu, 'usr/lib/x86_64-linux-gnu/qemu') },
      timeout: limitMs,
      killSignal: 'SIGKILL',
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    process.stdout.write(text);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

mkdirSync(cache, { recursive: true });
const packages = await unpackedPackages(cache);
process.stdout.write(`QEMU ${packages.qemuVersion}, Linux ${packages.kernelVersion}\n`);
const work = mkdtempSync(join(cache, 'run-'));
try {
  const program = `${process.execPath} ${join(checkoutDirectory, 'e2e/sriov/in-guest.ts')}`;
  const output = await boot(packages, await initramfs(work, packages, 'init', modules), program);
  if (!/^ENDED 0\r?$/m.test(output)) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true });
}
