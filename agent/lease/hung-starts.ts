/**
 * Ends starts that hang in the hypervisor's daemon, as a rule in the storage that was lost, by ending that daemon: what it had not begun
 * it never does, and a VM that others may take over does not start here later. The daemon's other VMs run on without it, and whoever
 * supervises it starts it anew.
 *
 * The daemon is who holds the socket that the start was asked at. It counts as gone when nobody does: one that hangs in the storage for
 * good keeps it. Only programs that are known to be such daemons are ended.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { PoolPlace, VmEnder } from './parts.ts';
import type { PendingStart, PendingStarts } from './pending-starts.ts';

const daemonNames: readonly string[] = ['libvirtd', 'virtqemud'];
/** Holds sockets for daemons that it starts, and asks nobody to start VMs. */
const holdsForOthers = 'systemd';
/** In /proc/net/unix: it is listened on. */
const listens = 0x10000;

export class HungStarts implements VmEnder {
  readonly #starts: PendingStarts;

  constructor(starts: PendingStarts) {
    this.#starts = starts;
  }

  async find(pool: PoolPlace): Promise<readonly string[]> {
    return (await this.#in(pool)).map(({ vmId }) => vmId);
  }

  async end(pool: PoolPlace): Promise<{ readonly vmIds: readonly string[]; readonly left: number }> {
    const starts = await this.#in(pool);
    let left = 0;
    for (const path of new Set(starts.map(({ socketPath }) => socketPath))) {
      for (const { pid, name } of await daemonsAt(path)) if (daemonNames.includes(name)) kill(pid);
      left += (await daemonsAt(path)).length;
    }
    if (left === 0) for (const { vmId } of starts) await this.#starts.forget(vmId);
    return { vmIds: starts.map(({ vmId }) => vmId), left };
  }

  async #in({ poolId }: PoolPlace): Promise<PendingStart[]> {
    return (await this.#starts.all()).filter(({ poolIds }) => poolIds.includes(poolId));
  }
}

/** Both kinds of VMs: those that have a process, and those that are about to. */
export function endingBoth(one: VmEnder, other: VmEnder): VmEnder {
  return {
    find: async (pool) => [...new Set([...(await one.find(pool)), ...(await other.find(pool))])],
    end: async (pool) => {
      // Starts first: what they begin meanwhile has a process by then. Whatever becomes of them, what runs is ended.
      const [starts] = await Promise.allSettled([other.end(pool)]);
      const running = await one.end(pool);
      if (starts.status === 'rejected') throw starts.reason;
      const { vmIds, left } = starts.value;
      return { vmIds: [...new Set([...running.vmIds, ...vmIds])], left: running.left + left };
    },
  };
}

interface Daemon {
  readonly pid: number;
  readonly name: string;
}

async function daemonsAt(socketPath: string): Promise<Daemon[]> {
  const inodes = await listenersAt(socketPath);
  if (inodes.size === 0) return [];
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const found = await Promise.all(pids.map((pid) => holder(pid, inodes)));
  return found.filter((daemon) => daemon !== undefined);
}

async function listenersAt(socketPath: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  const listening = lines.filter((words) => words[7] === socketPath && Number.parseInt(words[3]!, 16) === listens);
  return new Set(listening.map((words) => `socket:[${words[6]!}]`));
}

async function holder(pid: number, inodes: ReadonlySet<string>): Promise<Daemon | undefined> {
  const directory = join('/proc', String(pid), 'fd');
  const files = await readdir(directory).catch(() => []);
  const targets = await Promise.all(files.map((file) => readlink(join(directory, file)).catch(() => '')));
  if (!targets.some((target) => inodes.has(target))) return undefined;
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const name = basename(words.split('\0')[0] ?? '');
  return name === holdsForOthers || name === 'init' ? undefined : { pid, name };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}
