/**
 * Ends starts that hang in the hypervisor's daemon, as a rule in the storage that was lost, by ending that daemon: what it had not begun
 * it never does, and a VM that others may take over does not start here later. The daemon's other VMs run on without it, and whoever
 * supervises it starts it anew.
 *
 * The daemon is who holds the socket that the start was asked at. It counts as gone when nobody does: one that hangs in the storage for
 * good keeps it. Only programs that are known to be such daemons are ended. Where it cannot be seen who holds the socket, nobody
 * counts as gone.
 */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ifGone, isGone } from './processes.ts';
import type { PoolPlace, VmEnder } from './parts.ts';
import type { PendingStart, PendingStarts } from './pending-starts.ts';

const daemonNames: readonly string[] = ['libvirtd', 'virtqemud'];
/** They hold sockets for daemons that they start, and ask nobody to start VMs. */
const holdForOthers: readonly string[] = ['systemd', 'init'];
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

/** `unknown`: its files may not be seen. */
interface Look extends Daemon {
  readonly holds: 'yes' | 'unknown';
}

/** @throws when it cannot be seen who holds the socket */
async function daemonsAt(socketPath: string): Promise<Daemon[]> {
  const inodes = await listenersAt(socketPath);
  if (inodes.size === 0) return [];
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const looks = (await Promise.all(pids.map((pid) => lookAt(pid, inodes)))).flat();
  const holders = looks.filter(({ holds }) => holds === 'yes');
  const hidden = looks.filter(({ holds }) => holds === 'unknown');
  if (hidden.some(({ name }) => holders.length === 0 || daemonNames.includes(name))) {
    // Its holder may have ended meanwhile.
    if ((await listenersAt(socketPath)).size === 0) return [];
    throw new Error(`it cannot be seen which process holds ${socketPath}: is the power to trace processes missing?`);
  }
  return holders.filter(({ name }) => !holdForOthers.includes(name));
}

/** By the path that the daemon gave its socket, or another one to the same file: `/var/run` is `/run`. */
async function listenersAt(socketPath: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  const listening = lines.filter((words) => words[7] !== undefined && Number.parseInt(words[3]!, 16) === listens);
  const file = await fileAt(socketPath);
  const isAt = async (path: string): Promise<boolean> =>
    path === socketPath || (basename(path) === basename(socketPath) && file !== null && (await fileAt(path)) === file);
  const found = await Promise.all(listening.map(async (words) => ((await isAt(words[7]!)) ? [words[6]!] : [])));
  return new Set(found.flat().map((inode) => `socket:[${inode}]`));
}

/** Null: nothing is there. */
async function fileAt(path: string): Promise<string | null> {
  return realpath(path).catch(() => null);
}

/** Empty: it does not hold the socket, or is gone. */
async function lookAt(pid: number, inodes: ReadonlySet<string>): Promise<Look[]> {
  const directory = join('/proc', String(pid), 'fd');
  let holds: Look['holds'] = 'yes';
  try {
    const files = await readdir(directory);
    const targets = await Promise.all(files.map((file) => readlink(join(directory, file)).catch(ifGone(''))));
    if (!targets.some((target) => inodes.has(target))) return [];
  } catch (error) {
    if (isGone(error)) return [];
    holds = 'unknown';
  }
  // Not its command line: reading that waits for a process that hangs.
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(ifGone(null));
  return name === null ? [] : [{ pid, name: name.trim(), holds }];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}
