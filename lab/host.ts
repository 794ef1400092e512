/**
 * One lab host: its power button, its storage cable, its agent, and a way to run things inside. Whether it runs is asked
 * of the kernel (is there a first process in its network namespace?), never of a record.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareCgroups, removeCgroups } from './cgroups.ts';
import { agentWords, expand } from './command-line.ts';
import { attempt, run } from './command.ts';
import type { CommandOptions, CommandResult } from './command.ts';
import { type Plugging, plugHost, unplugHost } from './fabric.ts';
import { prepareHostDisk } from './host-files.ts';
import { checkoutDirectory, compiledCode, hostLayout, insideHost, nodeBinary } from './layout.ts';
import type { HostLayout, LabLayout } from './layout.ts';
import {
  endAll,
  endProcesses,
  identify,
  innermostPid,
  isRunning,
  processesInNetworkNamespace,
  signal,
  until,
} from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { acceptsConnections } from './unix-socket.ts';

export class HostIsOffError extends Error {
  constructor(name: string) {
    super(`host ${name} is switched off`);
  }
}

/** What was asked can't be simulated on this machine. */
export class UnsupportedError extends Error {}

const hostPath = `${join(nodeBinary, '..')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

export class LabHost {
  readonly name: string;
  readonly layout: HostLayout;
  readonly #lab: LabLayout;

  constructor(lab: LabLayout, name: string) {
    this.#lab = lab;
    this.name = name;
    this.layout = hostLayout(lab, name);
  }

  /** The host's first process, if the host is on. */
  init(): ProcessIdentity | undefined {
    return processesInNetworkNamespace(this.layout.namespace).find((process) => {
      return isRunning(process) && innermostPid(process.pid) === 1;
    });
  }

  #running(): ProcessIdentity {
    const init = this.init();
    if (init === undefined) throw new HostIsOffError(this.name);
    return init;
  }

  /** The machine's path to a file that the running host sees at `path`. */
  path(path: string): string {
    return `/proc/${this.#running().pid}/root${path}`;
  }

  /** The command that runs `argv` inside the host, for those who spawn it themselves. */
  command(argv: readonly string[]): string[] {
    const enter = ['nsenter', `--target=${this.#running().pid}`, '--mount', '--uts', '--ipc', '--net', '--pid'];
    const environment = { PATH: hostPath, HOME: '/root', LANG: 'C.UTF-8', ...compiledCode() };
    const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    return [...enter, '--', 'env', '-i', ...words, ...argv];
  }

  /** Runs a command inside the host and returns its standard output; rejects when it fails. */
  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run(this.command(argv), options);
  }

  /** As `exec`, but a failing command is a result. */
  async tryExec(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt(this.command(argv), options);
  }

  /** Boots the host unless it runs; resolves when its libvirtd and Open vSwitch answer. */
  async powerOn(plugging: Plugging): Promise<void> {
    if (this.init() === undefined || !existsSync(this.path('/run/kvasir-host-ready'))) await this.#boot(plugging);
    await until(`libvirtd of ${this.name} (${this.layout.consoleLog})`, 30_000, () =>
      acceptsConnections(this.path(insideHost.libvirtSocket)),
    );
    if (plugging.cuts.includes('storage')) await this.setStorage('cut');
  }

  async #boot(plugging: Plugging): Promise<void> {
    await this.powerOff();
    prepareHostDisk(this.layout);
    await plugHost(this.#lab, this.layout, plugging);
    mkdirSync(this.#lab.sharedStorage, { recursive: true });
    const console = openSync(this.layout.consoleLog, 'a');
    const { namespace, directory } = this.layout;
    const child = spawn(
      '/bin/bash',
      [
        join(import.meta.dirname, 'host/launch.sh'),
        namespace,
        this.name,
        String(this.layout.number),
        directory,
        this.#lab.sharedStorage,
        checkoutDirectory,
      ],
      {
        cwd: '/',
        detached: true,
        stdio: ['ignore', console, console],
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          KVASIR_LAB: this.#lab.name,
          ...compiledCode(),
          ...prepareCgroups(this.layout.cgroup),
        },
      },
    );
    closeSync(console);
    child.unref();
    await until(`boot of ${this.name} (${this.layout.consoleLog})`, 60_000, () => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${this.name} did not boot: ${this.#lastConsoleLines()}`);
      const init = this.init();
      return init !== undefined && existsSync(`/proc/${init.pid}/root/run/kvasir-host-ready`);
    });
  }

  #lastConsoleLines(): string {
    return readFileSync(this.layout.consoleLog, 'utf8').trimEnd().split('\n').slice(-5).join(' | ');
  }

  /** A power failure: everything in the host is gone at once, its disk stays as it was at that moment. */
  async powerOff(): Promise<void> {
    const init = this.init();
    if (init !== undefined) signal(init, 'SIGKILL');
    await endAll(() => processesInNetworkNamespace(this.layout.namespace), 0);
    await unplugHost(this.#lab, this.layout);
    await removeCgroups(this.layout.cgroup);
  }

  /**
   * Stops or resumes the host's path to the shared storage; meanwhile I/O on it hangs, as on a hard NFS mount.
   * @throws {UnsupportedError} where the storage is a plain bind mount, because FUSE is missing
   */
  async setStorage(state: 'cut' | 'healed'): Promise<void> {
    const pidFile = join(this.layout.control, 'storage.pid');
    if (!existsSync(pidFile)) {
      throw new UnsupportedError(
        `unsupported: this machine has no FUSE or no bindfs, so the storage of ${this.name} can't be cut`,
      );
    }
    const inner = Number(readFileSync(pidFile, 'utf8'));
    const server = processesInNetworkNamespace(this.layout.namespace).find(({ pid }) => innermostPid(pid) === inner);
    if (server === undefined) throw new Error(`the storage server of ${this.name} is gone; power the host off and on`);
    signal(server, state === 'cut' ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Sets what the supervisor starts as agent, at the next boot too; `undefined`: none. A running agent is not touched. */
  setAgentCommand(argv: readonly string[] | undefined): void {
    mkdirSync(this.layout.control, { recursive: true });
    const file = join(this.layout.control, 'agent.argv');
    if (argv === undefined) {
      rmSync(file, { force: true });
      return;
    }
    const text = expand(argv, agentWords(this.layout)).map((argument) => `${argument}\0`);
    writeFileSync(`${file}.new`, text.join(''), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  agent(): ProcessIdentity | undefined {
    const init = this.init();
    if (init === undefined) return undefined;
    let inner: number;
    try {
      inner = Number(readFileSync(`/proc/${init.pid}/root/run/kvasir-agent.pid`, 'utf8'));
    } catch {
      return undefined;
    }
    return processesInNetworkNamespace(this.layout.namespace).find(({ pid }) => innermostPid(pid) === inner);
  }

  /** kill -9; the supervisor starts it again after about a second unless `stayDown`. False when none ran. */
  async killAgent(options: { readonly stayDown?: boolean } = {}): Promise<boolean> {
    if (options.stayDown === true) writeFileSync(join(this.layout.control, 'agent.down'), '');
    const agent = this.agent();
    if (agent === undefined) return false;
    await endProcesses([agent], 0);
    return true;
  }

  /** Undoes `stayDown`, and resolves when the supervisor has started the agent. */
  async startAgent(): Promise<ProcessIdentity> {
    this.#running();
    rmSync(join(this.layout.control, 'agent.down'), { force: true });
    if (!existsSync(join(this.layout.control, 'agent.argv'))) throw new Error(`${this.name} has no agent command line`);
    return until(`start of the agent on ${this.name}`, 10_000, () => this.agent());
  }

  isAgentHeldDown(): boolean {
    return existsSync(join(this.layout.control, 'agent.down'));
  }

  /** The machine's identity of the process that has `pid` inside the host, e.g. a QEMU's out of its pid file. */
  processInside(pid: number): ProcessIdentity | undefined {
    const found = processesInNetworkNamespace(this.layout.namespace).find(
      (process) => innermostPid(process.pid) === pid,
    );
    return found === undefined ? undefined : identify(found.pid);
  }
}
