/**
 * Ends VMs by force without libvirt, which may hang in the same storage. A VM's process is found in /proc by QEMU's `-uuid`,
 * its pools by the specs that the agent keeps on disk and by the files that the process was started with or has open.
 *
 * A process counts as gone only when its last thread is: one that hangs in the storage keeps the others' memory and files.
 * One of QEMU's that does not tell its VM or its files counts as one that may use any pool, as long as it is there.
 * Processes of other people's VMs are not touched.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import type { PoolPlace, VmEnder } from './parts.ts';
import { ifGone } from './processes.ts';

interface VmProcess {
  readonly pid: number;
  /** The kernel's start time of it: with the pid it names one process for ever. */
  readonly startTime: string;
  /** Null: it does not tell. */
  readonly vmId: string | null;
  readonly words: readonly string[];
}

/** /proc of a process that hangs may hang, too. */
const readWithinMs = 500;
const refreshEveryMs = 5000;

export class VmProcesses implements VmEnder {
  readonly #specsDirectory: string;
  readonly #proc: string;
  /** By pid and start time: a command line never changes. Undefined: no VM. */
  #known = new Map<string, VmProcess | undefined>();
  readonly #reading = new Map<string, Promise<VmProcess | undefined>>();
  #specs = new Map<string, ReadonlySet<string>>();
  #readingSpecs: Promise<void> | null = null;
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
    const { users, unknown } = await this.#look(pool);
    const there = await Promise.all(unknown.map((process) => this.#isThere(process)));
    if (there.includes(true))
      throw new Error(`process ${unknown[there.indexOf(true)]!.pid} does not tell which VM it is`);
    return idsOf(users);
  }

  async end(pool: PoolPlace): Promise<{ readonly vmIds: readonly string[]; readonly left: number }> {
    const { users, unknown } = await this.#look(pool);
    for (const user of users) await this.#kill(user);
    const still = await Promise.all([...users, ...unknown].map((process) => this.#isThere(process)));
    return { vmIds: idsOf(users), left: still.filter(Boolean).length };
  }

  /** Who uses the pool, and of whom that cannot be told. */
  async #look(pool: PoolPlace): Promise<{ readonly users: VmProcess[]; readonly unknown: VmProcess[] }> {
    const processes = await this.#refresh();
    const uses = await Promise.all(processes.map((process) => this.#uses(process, pool)));
    const those = (answer: boolean | null): VmProcess[] =>
      processes.filter((_process, index) => uses[index] === answer);
    return { users: those(true), unknown: those(null) };
  }

  /** Null: that cannot be told. */
  async #uses({ pid, vmId, words }: VmProcess, { poolId, path }: PoolPlace): Promise<boolean | null> {
    const pools = vmId === null ? undefined : this.#specs.get(vmId);
    if (pools?.has(poolId) === true) return true;
    const folders = [`${path}/volumes/`, `${path}/images/`];
    if (words.some((word) => folders.some((folder) => word.includes(folder)))) return true;
    const open = await within(this.#openFiles(pid), null);
    if (open?.some((file) => folders.some((folder) => file.startsWith(folder))) === true) return true;
    return vmId !== null && (pools !== undefined || open !== null) ? false : null;
  }

  async #openFiles(pid: number): Promise<string[]> {
    const directory = join(this.#proc, String(pid), 'fd');
    const names = await readdir(directory);
    return Promise.all(names.map((name) => readlink(join(directory, name)).catch(ifGone(''))));
  }

  async #refresh(): Promise<VmProcess[]> {
    this.#readingSpecs ??= this.#readSpecs().finally(() => (this.#readingSpecs = null));
    await within(this.#readingSpecs, undefined);
    const names = (await readdir(this.#proc)).filter((name) => /^[0-9]+$/.test(name));
    const known = new Map<string, VmProcess | undefined>();
    const untold: VmProcess[] = [];
    await Promise.all(
      names.map(async (name) => {
        const stat = await this.#stat(join(name, 'stat'));
        // Between fork and exec a process still has its parent's name.
        if (stat?.name.startsWith('qemu') !== true) return;
        const [pid, startTime] = [Number(name), stat.fields[startTimeField]!];
        const key = `${name} ${startTime}`;
        if (this.#known.has(key)) known.set(key, this.#known.get(key));
        else {
          const read = await within(this.#readOnce(key, pid, startTime), null);
          if (read !== null) known.set(key, read);
          else untold.push({ pid, startTime, vmId: null, words: [] });
        }
      }),
    );
    this.#known = known;
    return [...[...known.values()].filter((process) => process !== undefined), ...untold];
  }

  /** One read at a time of each process, as of the specs: of what hangs, more would use up the threads of file access. */
  #readOnce(key: string, pid: number, startTime: string): Promise<VmProcess | undefined> {
    const reading = this.#reading.get(key) ?? this.#read(pid, startTime).finally(() => void this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  async #read(pid: number, startTime: string): Promise<VmProcess | undefined> {
    const words = await this.#words(pid);
    const at = words.indexOf('-uuid');
    const vmId = at < 0 ? undefined : words[at + 1];
    return vmId === undefined ? undefined : { pid, startTime, vmId, words };
  }

  /** Its first thread has none when it has ended before the others. @throws when there are none */
  async #words(pid: number): Promise<string[]> {
    const process = String(pid);
    for (const of of [process, ...(await this.#threads(pid)).map((thread) => join(process, 'task', thread))]) {
      const text = await readFile(join(this.#proc, of, 'cmdline'), 'utf8').catch(ifGone(''));
      if (text !== '') return text.split('\0');
    }
    throw new Error(`process ${pid} has no command line`);
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
    return (await this.#stat(join(String(pid), 'stat')))?.fields[startTimeField];
  }

  /** Undefined: it is gone. */
  async #stat(path: string): Promise<Stat | undefined> {
    const text = await readFile(join(this.#proc, path), 'utf8').catch(ifGone(undefined));
    if (text === undefined) return undefined;
    // The name may hold blanks and brackets.
    const [from, to] = [text.indexOf('(') + 1, text.lastIndexOf(')')];
    return { name: text.slice(from, to), fields: text.slice(to + 2).split(' ') };
  }

  async #threads(pid: number): Promise<string[]> {
    return readdir(join(this.#proc, String(pid), 'task')).catch(ifGone([]));
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
    const states = await Promise.all(
      (await this.#threads(pid)).map(
        async (thread) => (await this.#stat(join(String(pid), 'task', thread, 'stat')))?.fields[0],
      ),
    );
    return states.some((state) => state !== undefined && state !== 'Z' && state !== 'X');
  }
}

/** A stat file; its fields from the third (the state) on. */
interface Stat {
  readonly name: string;
  readonly fields: readonly string[];
}
const startTimeField = 19;

function idsOf(processes: readonly VmProcess[]): string[] {
  return [...new Set(processes.flatMap(({ vmId }) => vmId ?? []))];
}

function within<T, F>(work: Promise<T>, unread: F): Promise<T | F> {
  const late = new Promise<F>((resolve) => {
    setTimeout(() => resolve(unread), readWithinMs).unref();
  });
  return Promise.race([work.catch(() => unread), late]);
}
