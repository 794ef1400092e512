/**
 * A lab: several real hosts on one machine, for evaluation and tests. Owns the record of what was asked for and the lock
 * around each change; in which order a lab comes and goes is in `build.ts` and `tear-down.ts`. Every operation may be
 * repeated.
 */
import { join } from 'node:path';
import { bmcMode, type BmcMode, readBmcs, readPowerStatus, setBmcMode } from './bmc.ts';
import { buildLab, type LabOptions } from './build.ts';
import { setCarrier } from './fabric.ts';
import { LabHost } from './host.ts';
import { labLayout, maxHosts, maxSpareNics, networks } from './layout.ts';
import type { LabLayout, LabNetwork } from './layout.ts';
import { managerProcesses, startManager } from './manager-process.ts';
import { endProcesses, isRunning } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { readLabState, withHost, withLabLock, writeLabState } from './state.ts';
import type { LabState } from './state.ts';
import { tearDownLab } from './tear-down.ts';

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
    await withLabLock(lab.layout, () => buildLab(lab.layout, options));
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
    await withLabLock(lab.layout, () => tearDownLab(lab.layout, progress));
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
