/**
 * A lab: several real hosts on one machine, for evaluation and tests. Owns the order of things (fabric, then forwarder,
 * then hosts; the reverse at the end), the record of what was asked for, and the lock around each change. Every operation
 * may be repeated, and `down` finds what to remove from the kernel, so an `up` interrupted anywhere leaves nothing.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bmcMode, type BmcMode, prepareBmcs, readBmcs, readPowerStatus, setBmcMode } from './bmc.ts';
import { attempt } from './command.ts';
import { buildFabric, networkNamespaces, setCarrier } from './fabric.ts';
import { removeCgroups } from './cgroups.ts';
import { prepareHostDisk } from './host-files.ts';
import { LabHost } from './host.ts';
import { hostLayout, hostNumber, labLayout, maxHosts, maxSpareNics, networks } from './layout.ts';
import type { LabLayout, LabNetwork } from './layout.ts';
import { managerProcesses, powerProcesses, startForwarder, startManager, startPowerSwitch } from './manager-process.ts';
import { endProcesses, isRunning, processesInNetworkNamespace } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { readLabState, withHost, withLabLock, writeLabState } from './state.ts';
import type { HostState, LabState } from './state.ts';

export type LabOptions = {
  readonly name: string;
  /** How many hosts, 1 to 32; hosts that exist already stay. */
  readonly hosts: number;
  /** NICs of each host beside those on the three networks, plugged into nothing; kept from the last time when absent. */
  readonly spareNics?: number;
  /** Words of the agent's command line, see command-line.ts; kept from the last time when absent. */
  readonly agentCommand?: readonly string[];
  readonly managerCommand?: readonly string[];
  /** Is told what begins, for a progress display. */
  readonly progress?: (step: string) => void;
};

export type HostStatus = {
  readonly name: string;
  readonly power: 'on' | 'off';
  readonly cuts: readonly LabNetwork[];
  readonly agent: 'running' | 'restarting' | 'held down' | 'none';
  readonly managementAddress: string;
  readonly initPid: number | undefined;
  /** On 127.0.0.1. */
  readonly bmc: { readonly port: number | undefined; readonly mode: BmcMode };
  readonly watchdog: 'off' | 'armed';
  readonly watchdogResets: number;
};

export type LabStatus = {
  readonly name: string;
  readonly hosts: readonly HostStatus[];
  readonly manager: 'running' | 'stopped' | 'none';
  readonly managerPid: number | undefined;
  readonly forwarder: 'running' | 'stopped';
};

export class NoSuchLabError extends Error {
  constructor(name: string) {
    super(`there is no lab named ${name}: 'kvasir lab up --name ${name}' makes one`);
  }
}

export class Lab {
  readonly layout: LabLayout;

  private constructor(layout: LabLayout) {
    this.layout = layout;
  }

  /** Makes the lab, or completes it: hosts that ought to be on boot. Hosts that were switched off on purpose stay off. */
  static async up(options: LabOptions): Promise<Lab> {
    const lab = new Lab(labLayout(options.name));
    if (!(Number.isInteger(options.hosts) && options.hosts >= 1 && options.hosts <= maxHosts)) {
      throw new RangeError(`a lab has 1 to ${maxHosts} hosts, not ${options.hosts}`);
    }
    const spareNics = options.spareNics ?? 0;
    if (!(Number.isInteger(spareNics) && spareNics >= 0 && spareNics <= maxSpareNics)) {
      throw new RangeError(`a host has 0 to ${maxSpareNics} spare NICs, not ${spareNics}`);
    }
    await withLabLock(lab.layout, () => lab.#build(options));
    return lab;
  }

  /** An existing lab. */
  static open(name: string): Lab {
    const lab = new Lab(labLayout(name));
    lab.state();
    return lab;
  }

  static exists(name: string): boolean {
    return readLabState(labLayout(name)) !== undefined;
  }

  /** Removes whatever is there of a lab, also of one whose making was interrupted; nothing happens when there is none. */
  static async remove(name: string, progress: (step: string) => void = () => undefined): Promise<void> {
    const lab = new Lab(labLayout(name));
    await withLabLock(lab.layout, () => lab.#tearDown(progress));
  }

  state(): LabState {
    const state = readLabState(this.layout);
    if (state === undefined) throw new NoSuchLabError(this.layout.name);
    return state;
  }

  host(name: string): LabHost {
    withHost(this.state(), name, {});
    return new LabHost(this.layout, name);
  }

  hosts(): LabHost[] {
    return this.state().hosts.map((host) => new LabHost(this.layout, host.name));
  }

  async #build(options: LabOptions): Promise<void> {
    const progress = options.progress ?? (() => undefined);
    mkdirSync(this.layout.sharedStorage, { recursive: true });
    mkdirSync(this.layout.managerDirectory, { recursive: true, mode: 0o700 });
    const before = readLabState(this.layout);
    const wanted = Array.from({ length: options.hosts }, (_, index) => `h${index + 1}`);
    const known = before?.hosts ?? [];
    const added: HostState[] = wanted
      .filter((name) => !known.some((host) => host.name === name))
      .map((name) => ({ name, power: 'on', cuts: [] }));
    let state: LabState = {
      version: 1,
      name: this.layout.name,
      ...before,
      hosts: [...known, ...added].sort((a, b) => hostNumber(a.name) - hostNumber(b.name)),
      spareNics: options.spareNics ?? before?.spareNics,
      agentCommand: options.agentCommand ?? before?.agentCommand,
      managerCommand: options.managerCommand ?? before?.managerCommand,
    };
    writeLabState(this.layout, state);
    progress('fabric');
    await buildFabric(this.layout);
    state = { ...state, forwarder: await startForwarder(this.layout, state.forwarder) };
    writeLabState(this.layout, state);
    progress('power');
    for (const host of state.hosts) prepareHostDisk(hostLayout(this.layout, host.name));
    await prepareBmcs(
      this.layout,
      state.hosts.map((host) => host.name),
    );
    state = { ...state, powerSwitch: await startPowerSwitch(this.layout, state.powerSwitch) };
    writeLabState(this.layout, state);
    for (const host of state.hosts) new LabHost(this.layout, host.name).setAgentCommand(state.agentCommand);
    progress(`hosts ${state.hosts.map((host) => host.name).join(', ')}`);
    const boots = state.hosts
      .filter((host) => host.power === 'on')
      .map((host) => new LabHost(this.layout, host.name).powerOn({ cuts: host.cuts, spareNics: state.spareNics ?? 0 }));
    await Promise.allSettled(boots);
    await Promise.all(boots);
  }

  async #tearDown(progress: (step: string) => void): Promise<void> {
    const { layout } = this;
    const state = readLabState(layout);
    progress('manager');
    const managers = new Map(managerProcesses(layout).map((process) => [process.pid, process]));
    if (isRunning(state?.manager)) managers.set(state.manager.pid, state.manager);
    await endProcesses([...managers.values()], 5_000);
    // First, or it would go on switching.
    await endProcesses(powerProcesses(layout), 0);
    progress('hosts');
    const names = new Set(state?.hosts.map((host) => host.name));
    for (const namespace of networkNamespaces()) {
      const name = namespace.startsWith(layout.namespacePrefix) ? namespace.slice(layout.namespacePrefix.length) : '';
      if (/^h[0-9]+$/.test(name)) names.add(name);
    }
    for (const name of names) {
      await new LabHost(layout, name).powerOff();
      await removeCgroups(hostLayout(layout, name).cgroup);
    }
    progress('fabric');
    await endProcesses(processesInNetworkNamespace(layout.fabricNamespace), 0);
    if (isRunning(state?.forwarder)) await endProcesses([state.forwarder], 0);
    if (networkNamespaces().includes(layout.fabricNamespace)) {
      await attempt(['ip', 'netns', 'del', layout.fabricNamespace]);
    }
    rmSync(layout.directory, { recursive: true, force: true });
    await releaseNamespaceDirectory();
  }

  async #change<T>(work: (state: LabState) => Promise<T>): Promise<T> {
    return withLabLock(this.layout, () => work(this.state()));
  }

  #save(change: (state: LabState) => LabState): void {
    writeLabState(this.layout, change(this.state()));
  }

  /** A power failure of one host; it stays off until `powerOn`. The record is written first: `up` won't boot it again. */
  async powerOff(name: string): Promise<void> {
    await this.#change(async (state) => {
      writeLabState(this.layout, withHost(state, name, { power: 'off' }));
      await new LabHost(this.layout, name).powerOff();
    });
  }

  /** Boots a host; its disk is as the power failure left it, its VMs are not started by it. */
  async powerOn(name: string): Promise<void> {
    await this.#change(async (state) => {
      const next = withHost(state, name, { power: 'on' });
      writeLabState(this.layout, next);
      const cuts = next.hosts.find((host) => host.name === name)?.cuts ?? [];
      await new LabHost(this.layout, name).powerOn({ cuts, spareNics: next.spareNics ?? 0 });
    });
  }

  /** Cuts a host off one network, or off all; a cut outlives the host's power. */
  async cut(name: string, which: readonly LabNetwork[] = networks): Promise<void> {
    await this.#wire(name, which, 'cut');
  }

  async heal(name: string, which: readonly LabNetwork[] = networks): Promise<void> {
    await this.#wire(name, which, 'healed');
  }

  async #wire(name: string, which: readonly LabNetwork[], wanted: 'cut' | 'healed'): Promise<void> {
    await this.#change(async () => {
      const host = this.host(name);
      const isOn = host.init() !== undefined;
      for (const network of which) {
        if (isOn && network === 'storage') await host.setStorage(wanted);
        if (isOn) await setCarrier(this.layout, host.layout, network, wanted === 'healed');
        this.#save((state) => {
          const cuts = state.hosts.find((each) => each.name === name)?.cuts ?? [];
          const others = cuts.filter((cut) => cut !== network);
          return withHost(state, name, { cuts: wanted === 'cut' ? [...others, network] : others });
        });
      }
    });
  }

  async killAgent(name: string, options: { readonly stayDown?: boolean } = {}): Promise<boolean> {
    return this.#change(() => this.host(name).killAgent(options));
  }

  async startAgent(name: string): Promise<void> {
    await this.#change(() => this.host(name).startAgent());
  }

  /** Gives all hosts another agent command line; running agents go on with theirs. */
  async setAgentCommand(argv: readonly string[] | undefined): Promise<void> {
    await this.#change(async (state) => {
      for (const host of this.hosts()) host.setAgentCommand(argv);
      writeLabState(this.layout, { ...state, agentCommand: argv });
    });
  }

  /** Makes a host's BMC slow, dead or a liar, or well again. */
  setBmc(name: string, mode: BmcMode): void {
    this.host(name);
    setBmcMode(this.layout, name, mode);
  }

  manager(): ProcessIdentity | undefined {
    const { manager } = this.state();
    return isRunning(manager) ? manager : managerProcesses(this.layout).find(isRunning);
  }

  /** Starts the manager unless it runs; does not wait until it serves, for only its caller knows how to ask. */
  async startManager(command?: readonly string[]): Promise<ProcessIdentity> {
    return this.#change(async (state) => {
      const running = this.manager();
      if (running !== undefined) return running;
      const managerCommand = command ?? state.managerCommand;
      if (managerCommand === undefined) throw new Error(`lab ${state.name} knows no command line of a manager`);
      const manager = await startManager(this.layout, managerCommand);
      writeLabState(this.layout, { ...state, managerCommand, manager });
      return manager;
    });
  }

  /** kill -9; false when none ran. */
  async killManager(): Promise<boolean> {
    return this.#endManager(0);
  }

  /** SIGTERM, and kill -9 after 10 s; false when none ran. */
  async stopManager(): Promise<boolean> {
    return this.#endManager(10_000);
  }

  async #endManager(graceMs: number): Promise<boolean> {
    return this.#change(async () => {
      const manager = this.manager();
      if (manager === undefined) return false;
      await endProcesses([manager], graceMs);
      return true;
    });
  }

  status(): LabStatus {
    const state = this.state();
    const manager = this.manager();
    const bmcs = readBmcs(this.layout);
    const power = readPowerStatus(this.layout);
    return {
      name: state.name,
      hosts: state.hosts.map((recorded) => {
        const host = new LabHost(this.layout, recorded.name);
        const init = host.init();
        const agent = host.agent() !== undefined;
        return {
          name: recorded.name,
          power: init === undefined ? 'off' : 'on',
          cuts: recorded.cuts,
          agent: agent
            ? 'running'
            : host.isAgentHeldDown()
              ? 'held down'
              : state.agentCommand === undefined || init === undefined
                ? 'none'
                : 'restarting',
          managementAddress: host.layout.addresses.management,
          initPid: init?.pid,
          bmc: {
            port: bmcs.find((bmc) => bmc.host === recorded.name)?.port,
            mode: bmcMode(this.layout, recorded.name),
          },
          watchdog: power[recorded.name]?.watchdog ?? 'off',
          watchdogResets: power[recorded.name]?.resets ?? 0,
        };
      }),
      manager: manager !== undefined ? 'running' : state.managerCommand === undefined ? 'none' : 'stopped',
      managerPid: manager?.pid,
      forwarder: isRunning(state.forwarder) ? 'running' : 'stopped',
    };
  }

  /** Ends everything of the lab and deletes its files. */
  async down(progress?: (step: string) => void): Promise<void> {
    await Lab.remove(this.layout.name, progress);
  }

  /** The machine's path of a file in the storage that all hosts see at /srv/kvasir/shared. */
  sharedPath(name: string): string {
    return join(this.layout.sharedStorage, name);
  }
}

/** `ip netns add` turns /run/netns into a mount of its own; without a namespace in it that mount goes, too. */
async function releaseNamespaceDirectory(): Promise<void> {
  if (existsSync('/run/netns') && networkNamespaces().length === 0) await attempt(['umount', '/run/netns']);
}
