/**
 * A real Open vSwitch for tests: its own database, user-space switch and network namespace, in a directory of its own.
 * The kernel ends the daemons together with the test process, so that not even a killed test leaves something behind.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const schema = '/usr/share/openvswitch/vswitch.ovsschema';

export class TestSwitch {
  readonly directory: string;
  readonly #namespace: ChildProcess;
  #database: ChildProcess | null = null;
  #switch: ChildProcess | null = null;
  readonly #arguments: readonly string[];

  private constructor(directory: string, namespace: ChildProcess, switchArguments: readonly string[]) {
    this.directory = directory;
    this.#namespace = namespace;
    this.#arguments = switchArguments;
  }

  /** `switchArguments`: more for ovs-vswitchd, such as `--enable-dummy` for ports whose other end is a socket. */
  static async start(
    options: { readonly withSwitch: boolean; readonly switchArguments?: readonly string[] } = { withSwitch: true },
  ): Promise<TestSwitch> {
    const directory = await mkdtemp(join(tmpdir(), 'kvasir-ovs-'));
    const namespace = spawnChild(['unshare', '--net', 'sleep', 'infinity']);
    const made = new TestSwitch(directory, namespace, options.switchArguments ?? []);
    try {
      await made.#start(options.withSwitch);
      return made;
    } catch (error) {
      await made.stop();
      throw error;
    }
  }

  /** Of ovs-vswitchd, which takes the place of the programs that start it. */
  get switchPid(): number {
    return this.#switch!.pid!;
  }

  get socketPath(): string {
    return join(this.directory, 'db.sock');
  }

  /** Of the switch's network namespace, as `ip link set netns` takes it. */
  get namespacePath(): string {
    return `/proc/${this.#namespace.pid}/ns/net`;
  }

  /** Command line that runs `argv` inside the switch's network namespace. */
  inside(argv: readonly string[]): string[] {
    return ['nsenter', `--net=${this.namespacePath}`, '--', ...argv];
  }

  async exec(argv: readonly string[]): Promise<string> {
    const [file, ...args] = this.inside(argv);
    return (await execute(file!, args)).stdout;
  }

  vsctl(...args: readonly string[]): Promise<string> {
    return this.exec(['ovs-vsctl', `--db=unix:${this.socketPath}`, '--timeout=20', ...args]);
  }

  async startDatabase(): Promise<void> {
    this.#database = this.#daemon([
      'ovsdb-server',
      join(this.directory, 'conf.db'),
      `--remote=punix:${this.socketPath}`,
      `--unixctl=${join(this.directory, 'ovsdb.ctl')}`,
      '-vconsole:off',
    ]);
    await until(() => accepts(this.socketPath), 'the database answers');
  }

  async stopDatabase(): Promise<void> {
    await end(this.#database);
  }

  startSwitch(): void {
    this.#switch = this.#daemon([
      'ovs-vswitchd',
      `unix:${this.socketPath}`,
      `--unixctl=${join(this.directory, 'vswitchd.ctl')}`,
      '-vconsole:off',
      ...this.#arguments,
    ]);
  }

  async stopSwitch(): Promise<void> {
    await end(this.#switch);
  }

  async stop(): Promise<void> {
    await this.stopSwitch();
    await this.stopDatabase();
    await end(this.#namespace);
    await rm(this.directory, { recursive: true, force: true });
  }

  async #start(withSwitch: boolean): Promise<void> {
    await until(async () => {
      const { stdout } = await execute('readlink', [`/proc/${this.#namespace.pid}/ns/net`, '/proc/self/ns/net']);
      const [inside, outside] = stdout.trim().split('\n');
      return inside !== outside;
    }, 'the namespace exists');
    await this.exec(['ip', 'link', 'set', 'lo', 'up']);
    await execute('ovsdb-tool', ['create', join(this.directory, 'conf.db'), schema]);
    await this.startDatabase();
    await this.vsctl('--no-wait', 'init');
    const threads = ['other_config:n-handler-threads=1', 'other_config:n-revalidator-threads=1'];
    await this.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', ...threads);
    if (withSwitch) this.startSwitch();
  }

  #daemon(argv: readonly string[]): ChildProcess {
    const environment = { OVS_RUNDIR: this.directory, OVS_LOGDIR: this.directory, OVS_DBDIR: this.directory };
    return spawnChild(this.inside(argv), environment);
  }
}

function spawnChild(argv: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
  });
}

async function end(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it did not happen in time that ${what}`);
    await delay(10);
  }
}
