/**
 * One manager as its own process, as `kvasir-manager.service` starts it, with a data folder and free ports of its own. The
 * measured program is exactly the product: everything is asked for through its API and its metrics.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, createClient } from '@kvasir/api/client.ts';
import { sessionOperations } from '@kvasir/api/resources/session.ts';

const program = resolve(import.meta.dirname, '../../manager/main.ts');
const stopWithinMs = 30_000;

export interface LoopDelay {
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class ManagerProcess {
  readonly pid: number;
  readonly client: Client;
  readonly #child: ChildProcess;
  readonly #address: string;
  readonly #dataFolder: string;

  private constructor(child: ChildProcess, address: string, client: Client, dataFolder: string) {
    this.pid = child.pid!;
    this.client = client;
    this.#child = child;
    this.#address = address;
    this.#dataFolder = dataFolder;
  }

  /** Starts it in an empty folder and logs in; the log goes to `manager.log` beside the data. */
  static async start(
    folder: string,
    options: { readonly database: string; readonly cpuProfileFolder: string | undefined },
  ): Promise<ManagerProcess> {
    const dataFolder = join(folder, 'manager');
    const listen = ['--listen=127.0.0.1:0', '--agent-listen=127.0.0.1:0'];
    const argv = [program, `--data=${dataFolder}`, ...listen, `--database=${options.database}`];
    const { cpuProfileFolder } = options;
    const profile = cpuProfileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfileFolder}`];
    const child = spawn(process.execPath, [...profile, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stderr.pipe(createWriteStream(join(folder, 'manager.log')));
    try {
      const address = await addressOf(child.stdout, child);
      const password = (await readFile(join(dataFolder, 'admin-password'), 'utf8')).trim();
      const login = await createClient({ baseUrl: address }).call(sessionOperations.create, {
        body: { userName: 'admin', password },
      });
      return new ManagerProcess(child, address, createClient({ baseUrl: address, token: login.token }), dataFolder);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** The longest stalls of its event loop since the last reading. */
  async loopDelay(): Promise<LoopDelay> {
    const text = await (await fetch(`${this.#address}/metrics`)).text();
    const value = (name: string): number => {
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      if (line === undefined) throw new Error(`the manager's metrics have no ${name}`);
      return Number(line.slice(name.length + 1)) * 1000;
    };
    return {
      p99Ms: value('kvasir_event_loop_delay_seconds{quantile="0.99"}'),
      maxMs: value('kvasir_event_loop_delay_max_seconds'),
    };
  }

  /** Of SQLite's file and its log; 0 with PostgreSQL. */
  async databaseMib(): Promise<number> {
    const sizes = ['state.db', 'state.db-wal'].map(async (name) =>
      stat(join(this.#dataFolder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
    return Math.round((await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) / 1024 / 1024);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const force = setTimeout(() => this.#child.kill('SIGKILL'), stopWithinMs);
    await ended;
    clearTimeout(force);
  }
}

async function addressOf(output: NodeJS.ReadableStream, child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: output });
  const { promise, resolve: found, reject } = Promise.withResolvers<string>();
  lines.on('line', (line) => {
    const address = /^Kvasir manager at (\S+)$/.exec(line)?.[1];
    if (address !== undefined) found(address);
  });
  child.once('exit', (code) => reject(new Error(`the manager ended with ${code}; see its log`)));
  child.once('error', reject);
  return promise;
}
