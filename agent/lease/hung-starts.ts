/**
 * Ends starts that hang in the hypervisor's daemon, as a rule in the storage that was lost, by ending that daemon: what it had not begun
 * it never does, and a VM that others may take over does not start here later. The daemon's other VMs run on without it, and whoever
 * supervises it starts it anew.
 *
 * The daemon is who holds the socket that the start was asked at, or has let go of it: a daemon that is asked to stop closes its sockets
 * first, and waits for its starts then. So whoever is known to be such a daemon and listens at no such socket any more may be the one
 * that was asked, and is ended as well; one that is only starting is started anew by its supervisor. It counts as gone when there is
 * neither: one that hangs in the storage for good stays. Only programs that are known to be such daemons are ended. Where it cannot be
 * seen who holds the socket, nobody counts as gone.
 */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ifGone, isGone } from './processes.ts';
import type { PoolPlace, VmEnder } from './parts.ts';
import type { PendingStart, PendingStarts } from './pending-starts.ts';

const daemonNames: readonly string[] = ['libvirtd', 'virtqemud'];
/** What they listen at by default, beside the socket that was asked at. */
const socketNames: readonly string[] = ['libvirt-sock', 'virtqemud-sock'];
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

interface Look extends Daemon {
  /** `no-longer`: nor any other such socket, though it is such a daemon; `unknown`: its files may not be seen. */
  readonly holds: 'yes' | 'no-longer' | 'unknown';
}

/** Sockets that are listened on, as links of open files have them. */
interface Listeners {
  readonly here: ReadonlySet<string>;
  /** All at which such a daemon listens, also elsewhere. */
  readonly alike: ReadonlySet<string>;
}

/** Of one that is just ending, which hides its files first. */
const lookAgainMs = 20;
const mostLooks = 5;

/** @throws when it cannot be seen who holds the socket */
async function daemonsAt(socketPath: string): Promise<Daemon[]> {
  for (let look = 1; ; look += 1) {
    const daemons = await seenAt(socketPath);
    if (daemons !== null) return daemons;
    if (look === mostLooks) break;
    await delay(lookAgainMs);
  }
  throw new Error(`it cannot be seen which process holds ${socketPath}: is the power to trace processes missing?`);
}

/** Null: it cannot be seen. */
async function seenAt(socketPath: string): Promise<Daemon[] | null> {
  const listeners = await listenersAt(socketPath);
  const network = await readlink('/proc/self/ns/net');
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const looks = (await Promise.all(pids.map((pid) => lookAt(pid, listeners, network)))).flat();
  const holders = looks.filter(({ holds }) => holds === 'yes');
  const stopping = looks.filter(({ holds }) => holds === 'no-longer');
  const hidden = looks.filter(({ holds }) => holds === 'unknown');
  const isUnseen = holders.length === 0 && listeners.here.size > 0;
  if (hidden.some(({ name }) => isUnseen || daemonNames.includes(name))) return null;
  return [...holders.filter(({ name }) => !holdForOthers.includes(name)), ...stopping];
}

/** By the path that the daemon gave its socket, or another one to the same file: `/var/run` is `/run`. */
async function listenersAt(socketPath: string): Promise<Listeners> {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
  const names = [...socketNames, basename(socketPath)];
  const alike = lines.filter(
    (words) => Number.parseInt(words[3] ?? '', 16) === listens && names.includes(basename(words[7] ?? '')),
  );
  const file = await fileAt(socketPath);
  const isHere = async (path: string): Promise<boolean> =>
    path === socketPath || (basename(path) === basename(socketPath) && file !== null && (await fileAt(path)) === file);
  const here = await Promise.all(alike.map(async (words) => ((await isHere(words[7]!)) ? [words] : [])));
  const links = (sockets: readonly string[][]): ReadonlySet<string> =>
    new Set(sockets.map((words) => `socket:[${words[6]!}]`));
  return { here: links(here.flat()), alike: links(alike) };
}

/** Null: nothing is there. */
async function fileAt(path: string): Promise<string | null> {
  return realpath(path).catch(() => null);
}

/** Empty: it is none of them, or gone; or of another network, whose sockets are not seen from here. */
async function lookAt(pid: number, { here, alike }: Listeners, network: string): Promise<Look[]> {
  const process = join('/proc', String(pid));
  // Not its command line: reading that waits for a process that hangs.
  const name = await readFile(join(process, 'comm'), 'utf8').catch(ifGone(null));
  if (name === null) return [];
  const daemon = { pid, name: name.trim() };
  try {
    const directory = join(process, 'fd');
    const files = await readdir(directory);
    const targets = await Promise.all(files.map((file) => readlink(join(directory, file)).catch(ifGone(''))));
    if (targets.some((target) => here.has(target))) return [{ ...daemon, holds: 'yes' }];
    if (!daemonNames.includes(daemon.name) || targets.some((target) => alike.has(target))) return [];
    const isOurs = (await readlink(join(process, 'ns/net'))) === network && !(await hasEnded(process));
    return isOurs ? [{ ...daemon, holds: 'no-longer' }] : [];
  } catch (error) {
    return isGone(error) || (await hasEnded(process)) ? [] : [{ ...daemon, holds: 'unknown' }];
  }
}

/** It is gone, or only not waited for yet. */
async function hasEnded(process: string): Promise<boolean> {
  const stat = await readFile(join(process, 'stat'), 'utf8').catch(ifGone(null));
  return stat === null || /^[ZX]$/.test(stat.charAt(stat.lastIndexOf(')') + 2));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}
