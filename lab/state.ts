/**
 * What a lab was asked to be, in one JSON file: which hosts, which are switched on, which cables are cut. What truly runs
 * is asked of the kernel each time, so a stale file misleads nobody. Written to a temporary file and renamed; changed
 * only under the lab's lock.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { until } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import type { LabLayout, LabNetwork } from './layout.ts';

export type HostState = {
  readonly name: string;
  readonly power: 'on' | 'off';
  readonly cuts: readonly LabNetwork[];
};

export type LabState = {
  readonly version: 1;
  readonly name: string;
  readonly hosts: readonly HostState[];
  /** Of each host; absent: none. */
  readonly spareNics?: number;
  /** Arguments with the placeholders of agent-command.ts; absent: no agent runs. */
  readonly agentCommand?: readonly string[];
  readonly managerCommand?: readonly string[];
  readonly manager?: ProcessIdentity;
  readonly forwarder?: ProcessIdentity;
  readonly powerSwitch?: ProcessIdentity;
};

export class LabStateError extends Error {}

export function parseLabState(text: string): LabState {
  const value = JSON.parse(text) as LabState | null;
  if (value?.version !== 1 || !Array.isArray(value.hosts))
    throw new LabStateError('the lab was made by another version');
  return value;
}

/** Undefined when there is no lab. @throws LabStateError when what is there cannot be read */
export function readLabState(layout: LabLayout): LabState | undefined {
  let text: string;
  try {
    text = readFileSync(layout.stateFile, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return parseLabState(text);
  } catch (error) {
    const removal = `'kvasir lab down --name ${layout.name}' removes the lab`;
    throw new LabStateError(`${layout.stateFile} cannot be read (${String(error)}): ${removal}`, { cause: error });
  }
}

export function writeLabState(layout: LabLayout, state: LabState): void {
  mkdirSync(dirname(layout.stateFile), { recursive: true, mode: 0o700 });
  const temporary = `${layout.stateFile}.new`;
  writeFileSync(temporary, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, layout.stateFile);
}

export function removeLabState(layout: LabLayout): void {
  rmSync(layout.stateFile, { force: true });
}

export function withHost(state: LabState, name: string, change: Partial<HostState>): LabState {
  if (!state.hosts.some((host) => host.name === name)) {
    throw new LabStateError(
      `lab ${state.name} has no host ${name}: it has ${state.hosts.map((host) => host.name).join(', ')}`,
    );
  }
  return { ...state, hosts: state.hosts.map((host) => (host.name === name ? { ...host, ...change } : host)) };
}

/** One change of a lab at a time. */
export async function withLabLock<T>(layout: LabLayout, work: () => Promise<T>, timeoutMs = 120_000): Promise<T> {
  return withLock(layout.lockName, `another command changes the lab ${layout.name}; its end`, work, timeoutMs);
}

/**
 * One at a time of whoever asks for this name: an abstract unix socket is the lock, which the kernel drops with the process and
 * which leaves no file behind. `what` is waited for when another has it.
 */
export async function withLock<T>(name: string, what: string, work: () => Promise<T>, timeoutMs = 120_000): Promise<T> {
  const server = createServer((socket) => socket.destroy());
  await until(what, timeoutMs, async () => {
    const outcome = await new Promise<'locked' | 'taken'>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') resolve('taken');
        else reject(error);
      });
      server.listen(`\0${name}`, () => resolve('locked'));
    });
    server.removeAllListeners('error').removeAllListeners('listening');
    return outcome === 'locked';
  });
  try {
    return await work();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
