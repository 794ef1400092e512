/**
 * A whole Kvasir over a lab: manager, agents that joined, pools and the tiny image. Owns the order and the looking-first of
 * each step, so that every one can be repeated; everything of the cloud is asked for through the CLI, as a person would.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isPortFree } from './api-port.ts';
import { bmcUser, powerFiles, readBmcs, watchdogInside, watchdogTimeoutMs } from './bmc.ts';
import { attempt, type CommandResult, run } from './command.ts';
import type { LabHost } from './host.ts';
import type { Lab } from './lab.ts';
import { checkoutDirectory, insideHost, managerEndpoint, nodeBinary } from './layout.ts';
import { isRunning, until } from './processes.ts';

// The lab's libvirtd listens on a management network of its own, so migration needs no TLS there.
const agentCommand = [
  ...['{node}', '{checkout}/agent/main.ts', 'run', '--data', '{state}'],
  ...[
    '--watchdog-device',
    watchdogInside,
    '--watchdog-timeout-ms',
    String(watchdogTimeoutMs),
    '--uplinks',
    insideHost.uplink,
  ],
  ...['--datapath-type', 'netdev', '--migration-transport', 'tcp'],
  ...['--uplink-bridge', '{uplinkBridge}', '--tunnel-address', '{tunnelAddress}/24'],
];

export interface CloudOptions {
  /** Of the API, on 127.0.0.1. */
  readonly port: number;
  /** The CLI's profile that the login is kept in. */
  readonly profile: string;
  /** The CLI's file of profiles; default: that of the user. */
  readonly configFile?: string;
  /** Default: SQLite in the manager's directory. */
  readonly database?: string;
}

/** What the agent writes last when it has joined. */
function hasIdentity(host: LabHost): boolean {
  return existsSync(join(host.layout.disk, insideHost.agentState, 'agent.json'));
}

/** A manager that was killed lets go of its port a moment after its first thread has ended. */
const portFreeWithinMs = 5000;

type Listed = readonly { readonly name: string; readonly state?: string }[];

export class Cloud {
  readonly lab: Lab;
  readonly url: string;
  readonly #options: CloudOptions;

  constructor(lab: Lab, options: CloudOptions) {
    this.lab = lab;
    this.#options = options;
    this.url = `http://127.0.0.1:${options.port}`;
  }

  /** One command of the CLI with this cloud's login, whatever its exit code. */
  async cli(
    argv: readonly string[],
    options: { readonly timeoutMs?: number; readonly input?: string } = {},
  ): Promise<CommandResult> {
    return attempt(this.#command(argv), { ...options, env: this.#environment() });
  }

  /** The same, but it must succeed, and its output is JSON. */
  async kvasir<T>(argv: readonly string[], timeoutMs = 180_000): Promise<T> {
    return JSON.parse(await run([...this.#command(argv), '-o', 'json'], { timeoutMs, env: this.#environment() })) as T;
  }

  async names(resource: string): Promise<Set<string>> {
    return new Set((await this.kvasir<Listed>([resource, 'list'])).map((item) => item.name));
  }

  get passwordFile(): string {
    return join(this.lab.layout.managerDirectory, 'admin-password');
  }

  /** Starts the manager unless it runs, and waits until it serves people. */
  async startManager(): Promise<void> {
    const { port } = this.#options;
    if (this.lab.manager() === undefined) await this.#requirePort();
    const manager = await this.lab.startManager([
      '{node}',
      '{checkout}/manager/main.ts',
      '--data={directory}',
      `--listen=127.0.0.1:${port}`,
      '--agent-listen=unix:{agentSocket}',
      '--agent-address={agentAddress}:{agentPort}',
      `--database=${this.#options.database ?? 'sqlite'}`,
    ]);
    await until(`the manager at ${this.url}`, 30_000, async () => {
      if (!isRunning(manager)) throw new Error(`the manager ended; see ${this.lab.layout.managerLog}`);
      return fetch(`${this.url}/openapi.json`, { signal: AbortSignal.timeout(2_000) }).then(
        (answer) => answer.ok,
        () => false,
      );
    });
  }

  /** Whoever answers there would be taken for the manager, and be given the administrator's password. */
  async #requirePort(): Promise<void> {
    const { port } = this.#options;
    await until(`port ${port}`, portFreeWithinMs, () => isPortFree(port)).catch((cause: unknown) => {
      const advice = `end that, or make lab ${this.lab.layout.name} anew`;
      throw new Error(`the port ${port} on 127.0.0.1 is taken by another program: ${advice}`, { cause });
    });
  }

  async login(): Promise<void> {
    if ((await this.cli(['session', 'show', '--url', this.url])).exitCode === 0) return;
    const password = readFileSync(this.passwordFile, 'utf8');
    const login = ['login', '--user', 'admin', '--password-file', '-', '--url', this.url];
    await run(this.#command(login), { input: password, env: this.#environment() });
  }

  /** Makes every host of the lab a host of the cloud, and waits until all that have power are up. */
  async joinHosts(): Promise<void> {
    const known = await this.names('host');
    // Hosts see the checkout read-only: whatever is compiled for them is kept from here.
    await run([nodeBinary, join(checkoutDirectory, 'agent/main.ts'), '--help']);
    const joining = this.lab.hosts().filter((host) => !known.has(host.name) || !hasIdentity(host));
    for (const { name } of joining) if (known.has(name)) await this.#forgetHost(name);
    await Promise.all(joining.map((host) => this.#join(host)));
    await this.lab.setAgentCommand(agentCommand);
    await this.hostsUp();
  }

  async hostsUp(): Promise<void> {
    const powered = this.lab.status().hosts.filter((host) => host.power === 'on');
    await until('all hosts up', 60_000, async () => {
      const items = await this.kvasir<Listed>(['host', 'list']);
      return powered.every((host) => items.some((item) => item.name === host.name && item.state === 'up'));
    });
  }

  async makePools(): Promise<void> {
    const known = await this.names('pool');
    const create = async (name: string, path: string, shared: string): Promise<void> => {
      if (!known.has(name)) await this.kvasir(['pool', 'create', name, '--path', path, shared]);
    };
    await create('shared', insideHost.sharedStorage, '--shared');
    await create('local', insideHost.localStorage, '--no-shared');
  }

  /** Registers the hosts' BMCs with the manager. */
  async registerPower(): Promise<void> {
    const known = await this.names('fence-device');
    const { password } = powerFiles(this.lab.layout);
    for (const { host, port } of readBmcs(this.lab.layout)) {
      const name = `${host}-bmc`;
      if (known.has(name)) continue;
      const device = ['--host', host, '--kind', 'ipmi', '--address', '127.0.0.1', '--port', String(port)];
      const create = ['fence-device', 'create', name, ...device, '--user-name', bmcUser];
      const made = await this.cli([...create, '--password-file', password]);
      if (made.exitCode !== 0) throw new Error(made.stderr);
    }
  }

  async importImage(imagePath: string): Promise<void> {
    if ((await this.names('image')).has('tiny')) return;
    mkdirSync(this.lab.sharedPath('import'), { recursive: true });
    copyFileSync(imagePath, this.lab.sharedPath('import/tiny.qcow2'));
    await this.kvasir(['image', 'import', 'tiny', '--pool', 'shared', '--file', 'tiny.qcow2', '--public', '--wait']);
  }

  /** Its join was killed when the manager had answered it: nobody has the certificate. */
  async #forgetHost(name: string): Promise<void> {
    await run(this.#command(['host', 'delete', name]), { env: this.#environment() });
  }

  /** Gives the host an identity; the token goes through a file that only root reads. */
  async #join(host: LabHost): Promise<void> {
    const tokenFile = `${insideHost.agentConfig}/join-token`;
    const { token } = await this.kvasir<{ readonly token: string }>(['host', 'join-token']);
    writeFileSync(host.path(tokenFile), `${token}\n`, { mode: 0o600 });
    await host.exec([
      nodeBinary,
      join(checkoutDirectory, 'agent/main.ts'),
      'join',
      `--manager=${managerEndpoint.address}:${managerEndpoint.port}`,
      `--token-file=${tokenFile}`,
      `--name=${host.name}`,
      `--address=${host.layout.addresses.management}`,
      `--data=${insideHost.agentState}`,
    ]);
    await host.exec(['rm', tokenFile]);
  }

  /** The command line of the CLI with this cloud's login, and its environment, for those who spawn it themselves. */
  commandLine(argv: readonly string[]): { readonly argv: readonly string[]; readonly env: NodeJS.ProcessEnv } {
    return { argv: this.#command(argv), env: this.#environment() };
  }

  #command(argv: readonly string[]): string[] {
    return [nodeBinary, join(checkoutDirectory, 'cli/main.ts'), ...argv, '--profile', this.#options.profile];
  }

  #environment(): NodeJS.ProcessEnv {
    const { configFile } = this.#options;
    return configFile === undefined ? process.env : { ...process.env, KVASIR_CONFIG: configFile };
  }
}
