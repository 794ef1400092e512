/**
 * Ends VMs by force without libvirt, which may hang in the same storage. A VM's process is found in /proc by QEMU's `-uuid`,
 * its pools by the specs that the agent keeps on disk and by the files that the process was started with or has open.
 *
 * A process counts as gone only when its last thread is: one that hangs in the storage keeps the others' memory and files.
 * Processes of other people's VMs are not touched.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import type { PoolPlace, VmEnder } from './parts.ts';

interface VmProcess {
  readonly pid: number;
  /** The kernel's start time of it: with the pid it names one process for ever. */
  readonly startTime: string;
  readonly vmId: string;
  readonly words: readonly string[];
}

/** /proc of a process that hangs may hang, too. */
const readWithinMs = 500;
const refreshEveryMs = 5000;

export class VmProcesses implements VmEnder {
  readonly #specsDirectory: string;
  readonly #proc: string;
  /** By pid and start time: a command line never changes. Undefined: no QEMU. */
  #known = new Map<string, VmProcess | undefined>();
  #specs = new Map<string, ReadonlySet<string>>();
  readonly #timer: NodeJS.Timeout;

  constructor(specsDirectory: string, proc = '/proc') {
    this.#specsDirectory = specsDirectory;
    this.#proc = proc;
    this.#timer = setInterval(() => void this.#refresh().catch(() => {}), refreshEveryMs);
    this.#timer.unref();
    void this.#refresh().catch(() => {});
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async find(pool: PoolPlace): Promise<readonly string[]> {
    return [...new Set((await this.#users(pool)).map((process) => process.vmId))];
  }

  async end(pool: PoolPlace): Promise<{ readonly vmIds: readonly string[]; readonly left: number }> {
    const users = await this.#users(pool);
    for (const user of users) await this.#kill(user);
    const still = await Promise.all(users.map((user) => this.#isThere(user)));
    return { vmIds: [...new Set(users.map((user) => user.vmId))], left: still.filter(Boolean).length };
  }

  async #users(pool: PoolPlace): Promise<VmProcess[]> {
    const processes = await this.#refresh();
    const uses = await Promise.all(processes.map((process) => this.#uses(process, pool)));
    return processes.filter((_process, index) => uses[index]);
  }

  async #uses(process: VmProcess, { poolId, path }: PoolPlace): Promise<boolean> {
    if (this.#specs.get(process.vmId)?.has(poolId) === true) return true;
    const folders = [`${path}/volumes/`, `${path}/images/`];
    if (process.words.some((word) => folders.some((folder) => word.includes(folder)))) return true;
    const open = await within(this.#openFiles(process.pid), []);
    return open.some((file) => folders.some((folder) => file.startsWith(folder)));
  }

  async #openFiles(pid: number): Promise<string[]> {
    const directory = join(this.#proc, String(pid), 'fd');
    const names = await readdir(directory);
    return Promise.all(names.map((name) => readlink(join(directory, name)).catch(() => '')));
  }

  async #refresh(): Promise<VmProcess[]> {
    await within(this.#readSpecs(), undefined);
    const names = (await readdir(this.#proc)).filter((name) => /^[0-9]+$/.test(name));
    const known = new Map<string, VmProcess | undefined>();
    await Promise.all(
      names.map(async (name) => {
        const startTime = await this.#startTime(Number(name));
        if (startTime === undefined) return;
        const key = `${name} ${startTime}`;
        if (this.#known.has(key)) known.set(key, this.#known.get(key));
        else {
          const read = await within(this.#read(Number(name), startTime), 'unknown' as const);
          if (read !== 'unknown') known.set(key, read);
        }
      }),
    );
    this.#known = known;
    return [...known.values()].filter((process) => process !== undefined);
  }

  async #read(pid: number, startTime: string): Promise<VmProcess | undefined | 'unknown'> {
    const text = await readFile(join(this.#proc, String(pid), 'cmdline'), 'utf8').catch(() => '');
    const words = text.split('\0');
    // Between fork and exec a process still has its parent's words.
    if (!basename(words[0] ?? '').startsWith('qemu')) return 'unknown';
    const at = words.indexOf('-uuid');
    const vmId = at < 0 ? undefined : words[at + 1];
    return vmId === undefined ? undefined : { pid, startTime, vmId, words };
  }

  async #readSpecs(): Promise<void> {
    const specs = new Map<string, ReadonlySet<string>>();
    for (const name of await readdir(this.#specsDirectory)) {
      if (!name.endsWith('.json')) continue;
      try {
        const spec = JSON.parse(await readFile(join(this.#specsDirectory, name), 'utf8')) as VmSpec;
        specs.set(spec.vmId, new Set(spec.disks.map((disk) => disk.poolId)));
      } catch {
        // Deleted between the two looks.
      }
    }
    this.#specs = specs;
  }

  async #startTime(pid: number): Promise<string | undefined> {
    return (await this.#stat(join(String(pid), 'stat')))?.[19];
  }

  /** Fields of a stat file from the third (the state) on; the name before may hold blanks. */
  async #stat(path: string): Promise<string[] | undefined> {
    const text = await readFile(join(this.#proc, path), 'utf8').catch(() => undefined);
    return text?.slice(text.lastIndexOf(')') + 2).split(' ');
  }

  async #kill({ pid, startTime }: VmProcess): Promise<void> {
    if ((await this.#startTime(pid)) !== startTime) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone by itself.
    }
  }

  async #isThere({ pid, startTime }: VmProcess): Promise<boolean> {
    if ((await this.#startTime(pid)) !== startTime) return false;
    const threads = await readdir(join(this.#proc, String(pid), 'task')).catch(() => []);
    const states = await Promise.all(
      threads.map(async (thread) => (await this.#stat(join(String(pid), 'task', thread, 'stat')))?.[0]),
    );
    return states.some((state) => state !== undefined && state !== 'Z' && state !== 'X');
  }
}

function within<T, F>(work: Promise<T>, otherwise: F): Promise<T | F> {
  const late = new Promise<F>((resolve) => {
    setTimeout(() => resolve(otherwise), readWithinMs).unref();
  });
  return Promise.race([work.catch(() => otherwise), late]);
}
