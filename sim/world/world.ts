/**
 * A whole world: hosts with agents, managers over one store, cables, storage, power devices, one clock, one chance. What happens
 * in it follows from the seed and from what is done to it, and from nothing else.
 */
import { SimWorld } from '@kvasir/agent/drivers/sim/world.ts';
import type { Journal } from '@kvasir/agent/journal/journal.ts';
import type { PowerControl } from '@kvasir/manager/tasks/power-control.ts';
import type { Environment } from '@kvasir/manager/services/call.ts';
import type { Store } from '@kvasir/manager/store/database.ts';
import { Bmcs } from './bmc.ts';
import { Chance } from './chance.ts';
import { HostMachine } from './host-machine.ts';
import { holdImmediates, restoreImmediates } from './immediates.ts';
import type { Life } from './life.ts';
import { ManagerMachine } from './manager-machine.ts';
import { type Populated, populate, type Population } from './population.ts';
import { type CopiedStore, copyStore } from './store-template.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Parts that a test replaces to plant a bug, and the product never. */
export interface Planted {
  readonly power?: (real: PowerControl, world: World) => PowerControl;
  /** Made anew at each start of an agent. */
  readonly journal?: () => Journal;
  /** As one manager sees it. */
  readonly store?: (real: Store, manager: string) => Store;
  /** Called when a manager has been started anew. */
  readonly restarted?: (world: World) => void;
}

export interface WorldOptions extends Population {
  readonly seed: string | number;
  readonly hosts: readonly { readonly name: string; readonly memoryMib: number }[];
  readonly managers: number;
  readonly planted?: Planted;
}

export class World {
  readonly clock = new VirtualClock();
  readonly startedMs = this.clock.now();
  readonly chance: Chance;
  readonly sim: SimWorld;
  readonly bmcs: Bmcs;
  readonly machines = new Map<string, HostMachine>();
  readonly managers: readonly ManagerMachine[];
  readonly store: Store;
  /** What happened, a line each: `milliseconds what`. */
  readonly trace: string[] = [];
  /** Power cuts that devices carried out, with since when the host had been well and the VMs that ran there. */
  readonly fenced: {
    readonly hostId: string;
    readonly atMs: number;
    readonly wellSinceMs: number | null;
    readonly vmIds: readonly string[];
  }[] = [];
  /** Each time that a VM began or ceased to run somewhere. */
  readonly runs: {
    readonly atMs: number;
    readonly vmId: string;
    readonly hostId: string;
    readonly running: boolean;
  }[] = [];
  populated: Populated | undefined;
  readonly #copied: CopiedStore;
  readonly #restarted: () => void;

  private constructor(copied: CopiedStore, options: WorldOptions) {
    const { seed, planted } = options;
    this.#copied = copied;
    this.store = copied.store;
    this.chance = new Chance(seed);
    this.sim = new SimWorld({ clock: this.clock, random: this.chance.next });
    this.bmcs = new Bmcs(
      this.clock,
      {
        isOn: (hostId) => this.sim.host(hostId)?.isOn === true,
        switchOn: (hostId) => this.#machineOf(hostId).powerOn(),
        pressButton: (hostId, bmc) => this.#pressButton(hostId, bmc.hostId === hostId),
        cutPower: (hostId, bmc) => this.#cutPower(hostId, bmc.hostId === hostId),
      },
      (from, to) => this.chance.between(from, to),
    );
    const tell = (what: string): void => this.tell(what);
    for (const { name, memoryMib } of options.hosts) {
      const sim = this.sim.addHost({ hostId: this.chance.uuid(), memoryMib, cpus: 16 });
      const machine = new HostMachine(name, sim, {
        clock: this.clock,
        chance: this.chance,
        connect: (self, link) => {
          const leading = this.managers.filter((manager) => manager.leads);
          const leader = leading.length > 1 ? this.chance.pick(leading) : leading[0];
          leader?.accept(link, self.hostId);
          return leader !== undefined;
        },
        journal: planted?.journal,
        tell,
      });
      this.machines.set(name, machine);
    }
    this.sim.resetListeners.add((host) => {
      for (const machine of this.machines.values()) if (machine.sim === host) machine.wasReset();
    });
    const power = (life: Life): PowerControl => {
      const real = this.bmcs.power(life);
      return planted?.power?.(real, this) ?? real;
    };
    this.managers = Array.from({ length: options.managers }, (_, index) => {
      const name = `m${index + 1}`;
      const store = planted?.store?.(this.store, name) ?? this.store;
      return new ManagerMachine(name, { clock: this.clock, chance: this.chance, store, power, tell });
    });
    this.#restarted = () => planted?.restarted?.(this);
    this.#recordRuns();
  }

  /** With everything started; nothing has happened yet. */
  static async open(options: WorldOptions): Promise<World> {
    const copied = await copyStore();
    holdImmediates();
    const world = new World(copied, options);
    const { clock, machines, bmcs, chance } = world;
    world.populated = await world.waiting(populate(world.store, machines, bmcs, chance, clock.now(), options));
    for (const manager of world.managers) manager.start();
    for (const machine of machines.values()) machine.startAgent();
    return world;
  }

  /** Everything in it ends. */
  async close(): Promise<void> {
    for (const manager of this.managers) manager.kill();
    for (const machine of this.machines.values()) machine.killAgent(true);
    await this.clock.settle();
    await this.waiting(this.#copied.close());
    restoreImmediates();
  }

  get nowMs(): number {
    return this.clock.now() - this.startedMs;
  }

  /** Of the leading manager. */
  get env(): Environment | undefined {
    return this.leader()?.env;
  }

  leader(): ManagerMachine | undefined {
    return this.managers.find((manager) => manager.leads);
  }

  machine(name: string): HostMachine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`no host ${name}`);
    return machine;
  }

  manager(name: string): ManagerMachine {
    const manager = this.managers.find((each) => each.name === name);
    if (manager === undefined) throw new Error(`no manager ${name}`);
    return manager;
  }

  startManager(name: string): void {
    const manager = this.manager(name);
    if (manager.isUp) return;
    manager.start();
    this.#restarted();
  }

  nameOf(hostId: string): string {
    return [...this.machines.values()].find((machine) => machine.hostId === hostId)?.name ?? hostId;
  }

  /** Those that were created since have their id for a name. */
  vmName(vmId: string): string {
    for (const [name, id] of this.populated?.vmIds ?? []) if (id === vmId) return name;
    return vmId;
  }

  tell(what: string): void {
    this.trace.push(`${String(this.nowMs).padStart(7)} ${what}`);
  }

  /** The answer of work that needs no time to pass. */
  async waiting<T>(work: Promise<T>): Promise<T> {
    const waited = this.clock.outside(work);
    await this.clock.settle();
    return await waited;
  }

  #recordRuns(): void {
    const { sim } = this;
    const runs = sim.runs.bind(sim);
    sim.runs = (vmId, hostId, running) => {
      this.runs.push({ atMs: this.nowMs, vmId, hostId, running });
      this.tell(`${this.vmName(vmId)} ${running ? 'runs' : 'no longer runs'} on ${this.nameOf(hostId)}`);
      runs(vmId, hostId, running);
    };
  }

  #cutPower(hostId: string, wiredRight: boolean): void {
    const machine = this.#machineOf(hostId);
    if (!machine.sim.isOn) return;
    if (!wiredRight) return machine.powerOff('the power device of another host was told to');
    this.#recordFenced(hostId);
    machine.powerOff('its power device was told to');
  }

  /** It counts as a cut: what runs there loses its power, too. */
  #pressButton(hostId: string, wiredRight: boolean): void {
    if (this.#machineOf(hostId).pressButton() && wiredRight) this.#recordFenced(hostId);
  }

  #recordFenced(hostId: string): void {
    const { sim, wellSinceMs } = this.#machineOf(hostId);
    const vmIds = [...sim.domains.values()].flatMap(({ isActive, vmId }) => (isActive ? [vmId] : []));
    this.fenced.push({ hostId, atMs: this.clock.now(), wellSinceMs, vmIds });
  }

  #machineOf(hostId: string): HostMachine {
    return [...this.machines.values()].find((each) => each.hostId === hostId)!;
  }
}
