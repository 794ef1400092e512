/**
 * Names this process so that a later one on the same machine can tell that it is dead: boot, process-id namespace, id and start
 * time. With SQLite the next manager need not wait for the lease of one that was killed. Behind that stands how people find it.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** `boot/namespace/pid/start/name`. `port`: of its API; 0: any free one. */
export function processIdentity(port = 0): string {
  const name = port === 0 ? hostname() : `${hostname()}:${port}`;
  return [bootId(), namespace(), process.pid, startTime(process.pid), name].join('/');
}

/** The machine and the port of the manager with this identity; undefined: it does not say. */
export function managerName(identity: string): string | undefined {
  return identity.split('/')[4];
}

/** True only when it is certain: the same boot and namespace, and no such process. */
export function isDeadProcess(identity: string): boolean {
  const [boot, pids, pid, start] = identity.split('/');
  if (boot === undefined || pids === undefined || pid === undefined || start === undefined) return false;
  return boot === bootId() && pids === namespace() && startTime(Number(pid)) !== start;
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function namespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}

/** In clock ticks since boot; empty when there is no such process. A zombie counts as dead. */
function startTime(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
