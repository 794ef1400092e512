/** What a guest says of itself: commands run inside it by its guest agent, asked on the host and so past all of Kvasir. */
import type { LabHost } from '@kvasir/lab/host.ts';
import { until } from '@kvasir/lab/processes.ts';

export const virsh = ['virsh', '--quiet', '--connect', 'qemu:///system'];

type Status = { readonly exited: boolean; readonly exitcode?: number; readonly 'out-data'?: string };

async function ask<T>(host: LabHost, vmId: string, execute: string, values: object = {}): Promise<T> {
  const text = await host.exec([...virsh, 'qemu-agent-command', vmId, JSON.stringify({ execute, arguments: values })]);
  return (JSON.parse(text) as { readonly return: T }).return;
}

/** Waits for the guest's agent, which answers once it has booted. */
export async function booted(host: LabHost, vmId: string): Promise<void> {
  await until(`boot of ${vmId}`, 90_000, () =>
    ask(host, vmId, 'guest-ping').then(
      () => true,
      () => false,
    ),
  );
}

/**
 * Runs a line of shell in the guest and answers its output; rejects when it fails. Waits for the guest's agent, which is
 * out of reach for a moment after a migration or a new libvirtd.
 */
export async function guestShell(host: LabHost, vmId: string, line: string): Promise<string> {
  await booted(host, vmId);
  const { pid } = await ask<{ readonly pid: number }>(host, vmId, 'guest-exec', {
    path: '/bin/sh',
    arg: ['-c', line],
    'capture-output': true,
  });
  const status = await until(`end of '${line}' in the guest`, 60_000, async () => {
    const now = await ask<Status>(host, vmId, 'guest-exec-status', { pid });
    return now.exited ? now : undefined;
  });
  const output = Buffer.from(status['out-data'] ?? '', 'base64').toString();
  if (status.exitcode !== 0) throw new Error(`'${line}' in the guest: exit code ${status.exitcode}: ${output}`);
  return output.trim();
}

/** Seconds since the guest's kernel started. */
export async function guestUptime(host: LabHost, vmId: string): Promise<number> {
  return Number((await guestShell(host, vmId, 'cut -d" " -f1 /proc/uptime')).trim());
}
