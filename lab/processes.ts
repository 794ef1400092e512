/**
 * Which process is which. A pid alone is no identity (the kernel hands it out again), so a process is its pid together
 * with the kernel's start time of it; a network namespace tells all processes of a lab host without any record, so that
 * clean-up works after an interruption at any point.
 */
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export type ProcessIdentity = {
  readonly pid: number;
  /** Clock ticks after the machine's boot, field 22 of /proc/PID/stat. */
  readonly startTime: string;
};

/** The start time out of a /proc/PID/stat line; the name in it may hold blanks and brackets. */
export function parseStartTime(stat: string): string | undefined {
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return afterName[19];
}

/** 'Z' for a zombie, 'D' for one stuck in I/O …, as in /proc/PID/stat. */
export function parseRunState(stat: string): string | undefined {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0];
}

function readStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
}

export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = parseStartTime(readStat(pid) ?? '');
  return startTime === undefined ? undefined : { pid, startTime };
}

/** True while that very process runs; a zombie no longer does. */
export function isRunning(process: ProcessIdentity | undefined): process is ProcessIdentity {
  if (process === undefined) return false;
  const stat = readStat(process.pid);
  return stat !== undefined && parseStartTime(stat) === process.startTime && parseRunState(stat) !== 'Z';
}

/** Signals that very process; false when it is gone. */
export function signal(target: ProcessIdentity, name: NodeJS.Signals): boolean {
  if (!isRunning(target)) return false;
  try {
    process.kill(target.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}

/** All processes whose network namespace is the one bound at /run/netns/NAME. */
export function processesInNetworkNamespace(name: string): ProcessIdentity[] {
  let inode: number;
  try {
    inode = statSync(`/run/netns/${name}`).ino;
  } catch {
    return [];
  }
  const wanted = `net:[${inode}]`;
  return allPids().flatMap((pid) => {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) !== wanted) return [];
    } catch {
      return [];
    }
    const process = identify(pid);
    return process === undefined ? [] : [process];
  });
}

/** All processes started with the environment variable NAME=VALUE (of those whose environment can be read). */
export function processesWithEnvironment(name: string, value: string): ProcessIdentity[] {
  const wanted = `${name}=${value}`;
  return allPids().flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(wanted)) return [];
    } catch {
      return [];
    }
    const process = identify(pid);
    return process === undefined ? [] : [process];
  });
}

/** The pid that a process has inside its innermost pid namespace. */
export function innermostPid(pid: number): number | undefined {
  try {
    const line = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(line?.[1]?.split(/\s+/).at(-1));
  } catch {
    return undefined;
  }
}

/** Checks every 10 ms until `condition` holds; after `timeoutMs` fails with `what`. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await delay(10);
  }
}

/** SIGTERM, then after `graceMs` SIGKILL (at once when 0), until none of them runs. */
export async function endProcesses(processes: readonly ProcessIdentity[], graceMs: number): Promise<void> {
  if (graceMs > 0) {
    for (const process of processes) signal(process, 'SIGTERM');
    const end = performance.now() + graceMs;
    while (processes.some(isRunning) && performance.now() < end) await delay(10);
  }
  for (const process of processes) signal(process, 'SIGKILL');
  await until(`end of the processes ${processes.map((process) => process.pid).join(', ')}`, 20_000, () =>
    processes.every((process) => !isRunning(process)),
  );
}

/** As `endProcesses`, until `find` finds none that runs: one that is ended may just have started another. */
export async function endAll(find: () => readonly ProcessIdentity[], graceMs: number): Promise<void> {
  const running = (): ProcessIdentity[] => find().filter(isRunning);
  for (let found = running(); found.length > 0; found = running()) await endProcesses(found, graceMs);
}
