/**
 * Removes a lab: the manager, then power, then hosts, then the fabric. What is to be removed is asked of the kernel too, so an
 * `up` that was interrupted anywhere leaves nothing, whether or not its record can be read.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from './command.ts';
import { networkNamespaces } from './fabric.ts';
import { removeCgroups } from './cgroups.ts';
import { LabHost } from './host.ts';
import { hostLayout, isHostName, ownPart } from './layout.ts';
import type { LabLayout } from './layout.ts';
import { forwarderProcesses, managerProcesses, powerProcesses } from './manager-process.ts';
import { endAll, isRunning, processesInNetworkNamespace } from './processes.ts';
import { LabStateError, readLabState } from './state.ts';
import type { LabState } from './state.ts';

export async function tearDownLab(layout: LabLayout, progress: (step: string) => void): Promise<void> {
  const state = readableState(layout);
  progress('manager');
  const recorded = (): boolean => isRunning(state?.manager);
  await endAll(() => [...managerProcesses(layout), ...(recorded() ? [state!.manager!] : [])], 5_000);
  // First, or it would go on switching.
  await endAll(() => powerProcesses(layout), 0);
  progress('hosts');
  for (const name of hostNames(layout, state)) {
    await new LabHost(layout, name).powerOff();
    await removeCgroups(hostLayout(layout, name).cgroup);
  }
  progress('fabric');
  await endAll(() => forwarderProcesses(layout), 0);
  // The fabric, and what a test put beside its hosts: guests, an outside.
  for (const namespace of networkNamespaces().filter((name) => ownPart(layout, name) !== undefined)) {
    await endAll(() => processesInNetworkNamespace(namespace), 0);
    await attempt(['ip', 'netns', 'del', namespace]);
  }
  rmSync(layout.directory, { recursive: true, force: true });
  await releaseNamespaceDirectory();
}

/** Undefined also when a crash or another version left what cannot be read: then what is on the machine has to do. */
function readableState(layout: LabLayout): LabState | undefined {
  try {
    return readLabState(layout);
  } catch (error) {
    if (error instanceof LabStateError) return undefined;
    throw error;
  }
}

function hostNames(layout: LabLayout, state: LabState | undefined): Set<string> {
  const hosts = join(layout.directory, 'hosts');
  const found = [
    ...(state?.hosts.map((host) => host.name) ?? []),
    ...(existsSync(hosts) ? readdirSync(hosts) : []),
    ...networkNamespaces().map((namespace) => ownPart(layout, namespace) ?? ''),
  ];
  return new Set(found.filter(isHostName));
}

/** `ip netns add` turns /run/netns into a mount of its own; without a namespace in it that mount goes, too. */
async function releaseNamespaceDirectory(): Promise<void> {
  if (existsSync('/run/netns') && networkNamespaces().length === 0) await attempt(['umount', '/run/netns']);
}
