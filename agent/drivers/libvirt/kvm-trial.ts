/**
 * Whether KVM truly runs guests here. The device's presence proves nothing: on some machines it opens and guests then hang.
 * So a Linux kernel is booted with it up to the panic that it ends in without a disk, and must get there in time.
 */
import { spawn } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { release } from 'node:os';

export interface Trial {
  readonly works: boolean;
  /** Why it does not; null when it does. */
  readonly reason: string | null;
}

const trialTimeoutMs = 10_000;
const maxOutput = 65_536;

export async function tryKvm(emulator: string, kernel?: string): Promise<Trial> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!usable) return { works: false, reason: '/dev/kvm is not there or not accessible' };
  const image = kernel ?? (await installedKernel());
  if (image === undefined) return { works: false, reason: 'no kernel in /boot to try KVM with' };
  return bootUntilPanic(emulator, image);
}

async function installedKernel(): Promise<string | undefined> {
  const names = await readdir('/boot').catch(() => []);
  const kernels = names.filter((name) => name.startsWith('vmlinuz')).sort();
  const own = `vmlinuz-${release()}`;
  const chosen = kernels.includes(own) ? own : kernels.at(-1);
  return chosen === undefined ? undefined : `/boot/${chosen}`;
}

async function bootUntilPanic(emulator: string, kernel: string): Promise<Trial> {
  const args = [
    '-accel',
    'kvm',
    '-machine',
    'q35',
    '-cpu',
    'max',
    '-m',
    '192',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
  ];
  const boot = ['-serial', 'stdio', '-no-reboot', '-kernel', kernel, '-append', 'console=ttyS0 panic=-1'];
  const child = spawn(emulator, [...args, ...boot], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const verdict = Promise.withResolvers<Trial>();
  const look = (chunk: Buffer): void => {
    output = (output + chunk.toString('latin1')).slice(-maxOutput);
    if (output.includes('Kernel panic')) verdict.resolve({ works: true, reason: null });
    if (output.includes('KVM internal error'))
      verdict.resolve({ works: false, reason: 'QEMU reports an internal error of KVM' });
  };
  child.stdout.on('data', look);
  child.stderr.on('data', look);
  child.once('error', (error) => verdict.resolve({ works: false, reason: `QEMU did not start: ${error.message}` }));
  child.once('exit', (code) =>
    verdict.resolve({ works: false, reason: `QEMU ended with code ${code} before the kernel had started` }),
  );
  const timer = setTimeout(
    () =>
      verdict.resolve({ works: false, reason: `a kernel did not start with KVM within ${trialTimeoutMs / 1000} s` }),
    trialTimeoutMs,
  );
  try {
    return await verdict.promise;
  } finally {
    clearTimeout(timer);
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
  }
}
