/**
 * Removes a lab: the manager, then power, then hosts, then the fabric. What is to be removed is asked of the kernel too, so an
 * `up` that was interrupted anywhere leaves nothing.
 */
import { existsSync, rmSync } from 'node:fs';
import { attempt } from './command.ts';
import { networkNamespaces } from './fabric.ts';
import { removeCgroups } from './cgroups.ts';
import { LabHost } from './host.ts';
import { hostLayout } from './layout.ts';
import type { LabLayout } from './layout.ts';
import { managerProcesses, powerProcesses } from './manager-process.ts';
import { endProcesses, isRunning, processesInNetworkNamespace } from './processes.ts';
import { readLabState } from './state.ts';

export async function tearDownLab(layout: LabLayout, progress: (step: string) => void): Promise<void> {
  const state = readLabState(layout);
  progress('manager');
  const managers = new Map(managerProcesses(layout).map((process) => [process.pid, process]));
  if (isRunning(state?.manager)) managers.set(state.manager.pid, state.manager);
  await endProcesses([...managers.values()], 5_000);
  // First, or it would go on switching.
  await endProcesses(powerProcesses(layout), 0);
  progress('hosts');
  const names = new Set(state?.hosts.map((host) => host.name));
  for (const namespace of networkNamespaces()) {
    const name = namespace.startsWith(layout.namespacePrefix) ? namespace.slice(layout.namespacePrefix.length) : '';
    if (/^h[0-9]+$/.test(name)) names.add(name);
  }
  for (const name of names) {
    await new LabHost(layout, name).powerOff();
    await removeCgroups(hostLayout(layout, name).cgroup);
  }
  progress('fabric');
  if (isRunning(state?.forwarder)) await endProcesses([state.forwarder], 0);
  // The fabric, and what a test put beside its hosts: guests, an outside.
  for (const namespace of networkNamespaces().filter((name) => name.startsWith(layout.namespacePrefix))) {
    await endProcesses(processesInNetworkNamespace(namespace), 0);
    await attempt(['ip', 'netns', 'del', namespace]);
  }
  rmSync(layout.directory, { recursive: true, force: true });
  await releaseNamespaceDirectory();
}

/** `ip netns add` turns /run/netns into a mount of its own; without a namespace in it that mount goes, too. */
async function releaseNamespaceDirectory(): Promise<void> {
  if (existsSync('/run/netns') && networkNamespaces().length === 0) await attempt(['umount', '/run/netns']);
}
