/** What a process of this machine takes, out of /proc. */
import { readFile } from 'node:fs/promises';

export interface ProcessUsage {
  readonly rssMib: number;
  /** Processor time so far, in user and kernel mode, of all its threads. */
  readonly cpuMs: number;
}

/** The kernel counts processor time in hundredths of a second, whatever its own tick. */
const msPerTick = 10;
const utimeField = 11;

export async function processUsage(pid: number): Promise<ProcessUsage> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may hold spaces; fields count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[utimeField]) + Number(fields[utimeField + 1]);
  return { rssMib: Math.round(kib / 1024), cpuMs: ticks * msPerTick };
}
