/**
 * One host of a world as a machine: power, disk, management cable, clock, and the agent with the supervisor that starts it anew.
 * What lies on its disk (journal, specs, served lists) outlives the agent and the power.
 */
import { startAgent } from '@kvasir/agent/agent.ts';
import { simDrivers } from '@kvasir/agent/drivers/sim/drivers.ts';
import type { SimHost } from '@kvasir/agent/drivers/sim/host.ts';
import { type Journal, MemoryJournal } from '@kvasir/agent/journal/journal.ts';
import { MemoryServed } from '@kvasir/agent/journal/served.ts';
import { MemoryVmSpecs } from '@kvasir/agent/journal/vm-specs.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { Cable, type Direction } from './cable.ts';
import type { Chance } from './chance.ts';
import { Life } from './life.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface MachineSeams {
  readonly clock: VirtualClock;
  readonly chance: Chance;
  /** Hands the manager's end of a link to whoever leads; false: nobody does. */
  readonly connect: (machine: HostMachine, managerEnd: Link) => boolean;
  /** As the agent remembers it; another one is a planted bug. */
  readonly journal?: () => Journal;
  readonly tell: (what: string) => void;
}

const restartMs = 1000;
const bootMs = 20_000;
const shutDownFromMs = 1500;
const shutDownToMs = 20_000;
const dialTimeoutMs = 3000;
/** As the real dialler does, which notices a dead peer by unanswered pings. */
const pingEveryMs = 5000;
const maxUnansweredPings = 2;

export class HostMachine {
  readonly name: string;
  readonly sim: SimHost;
  readonly specs = new MemoryVmSpecs();
  /** Its operating system does not get down: it does not care for the button, or hangs on its way. */
  hangs = false;
  /** By how much its wall clock is wrong. */
  skewMs = 0;
  #peersHear = true;
  /** Since when nothing is wrong with it; null: something is. */
  wellSinceMs: number | null;
  readonly #seams: MachineSeams;
  readonly #served = new MemoryServed();
  #journal: Journal;
  #cable: Cable;
  #cut = new Set<Direction>();
  #life: Life | null = null;
  #heldDown = false;
  #shutsDown = false;
  #booted = true;
  #keeperFaultMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, sim: SimHost, seams: MachineSeams) {
    this.name = name;
    this.sim = sim;
    this.#seams = seams;
    this.#journal = this.#newJournal();
    this.#cable = this.#newCable();
    this.wellSinceMs = seams.clock.now();
  }

  get hostId(): string {
    return this.sim.hostId;
  }
  get agentRuns(): boolean {
    return this.#life !== null;
  }

  /** All that the manager or its peers could hold against it, as it really is. */
  get isWell(): boolean {
    const { sim } = this;
    return (
      sim.isOn &&
      this.#cut.size === 0 &&
      this.#peersHear &&
      this.agentRuns &&
      !sim.isStorageCut('/shared') &&
      !sim.stall.hangs &&
      !sim.ignoresKills
    );
  }
  get keeperFaultMs(): number {
    return this.#keeperFaultMs;
  }

  /** Called after each change: how long it has been well is counted from the last trouble. */
  noteHealth(): void {
    this.wellSinceMs = this.isWell ? (this.wellSinceMs ?? this.#seams.clock.now()) : null;
  }

  powerOff(why: string): void {
    if (!this.sim.isOn) return;
    this.#seams.tell(`${this.name} loses its power: ${why}`);
    // Nobody says good-bye: the kernel is gone with the processes.
    this.#cable.unplug();
    this.#endAgent();
    this.sim.powerOff();
    this.noteHealth();
  }

  powerOn(): void {
    if (this.sim.isOn) return;
    this.#seams.tell(`${this.name} is switched on`);
    this.sim.powerOn();
    this.#boots();
  }

  /**
   * Its power button was pressed. The system ends agent and keeper in order and switches itself off; or it hangs before, or after that.
   * Answers whether it shuts down because of this.
   */
  pressButton(): boolean {
    const { sim } = this;
    const { clock, chance, tell } = this.#seams;
    if (!sim.isOn || !this.#booted || this.#shutsDown) return false;
    if (this.hangs && chance.happens(0.5)) return false;
    tell(`${this.name} shuts down`);
    this.#shutsDown = true;
    const { bootId } = sim;
    const isSame = (): boolean => this.#shutsDown && sim.isOn && sim.bootId === bootId;
    const offMs = chance.between(shutDownFromMs, shutDownToMs);
    clock.after(chance.between(100, shutDownFromMs), () => {
      if (!isSame()) return;
      this.#endAgent();
      void sim.keeper.stop();
      this.noteHealth();
    });
    if (!this.hangs) clock.after(offMs, () => void (isSame() && this.powerOff('it has shut down')));
    return true;
  }

  /** Its watchdog has reset it: as losing the power, and booting at once. */
  wasReset(): void {
    this.#seams.tell(`${this.name} is reset by its watchdog`);
    this.#cable.unplug();
    this.#endAgent();
    this.#boots();
  }

  startAgent(): void {
    this.#heldDown = false;
    this.#shutsDown = false;
    if (this.#life === null && this.sim.isOn && this.#booted) this.#start();
  }

  /** kill -9; its supervisor starts it anew unless it is to stay down. */
  killAgent(stayDown: boolean): void {
    if (this.#life === null) return;
    this.#heldDown = stayDown;
    this.#endAgent();
    this.noteHealth();
    if (!stayDown) this.#startAfter(restartMs);
  }

  killKeeper(): void {
    this.#keeperFaultMs = this.#seams.clock.now();
    this.sim.keeper.kill();
  }

  cut(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#cut.add(direction);
    this.#cable.cut(...directions);
    this.noteHealth();
  }

  mend(): void {
    this.#cut.clear();
    this.#cable.mend();
    this.noteHealth();
  }

  /** Whether its probes reach the other hosts, as far as its own cable goes. */
  setPeersHear(hear: boolean): void {
    this.#peersHear = hear;
    this.#noteNetwork();
  }

  /** A host that boots answers nobody. */
  #noteNetwork(): void {
    this.sim.onManagementNetwork = this.#peersHear && this.#booted;
    this.noteHealth();
  }

  #boots(): void {
    const bootId = this.sim.bootId;
    this.#shutsDown = false;
    this.#booted = false;
    this.#cable = this.#newCable();
    this.#cable.cut(...this.#cut);
    this.#noteNetwork();
    this.#seams.clock.after(bootMs, () => {
      if (this.sim.bootId !== bootId || !this.sim.isOn) return;
      this.#booted = true;
      this.#noteNetwork();
      if (!this.#heldDown && this.#life === null) this.#start();
    });
  }

  #startAfter(ms: number): void {
    const bootId = this.sim.bootId;
    this.#seams.clock.after(ms, () => {
      if (this.sim.bootId === bootId && this.sim.isOn && !this.#isHeld && this.#life === null) this.#start();
    });
  }

  get #isHeld(): boolean {
    return this.#heldDown || this.#shutsDown;
  }

  #endAgent(): void {
    const life = this.#life;
    this.#life = null;
    life?.end();
  }

  #start(): void {
    const { clock, chance, journal } = this.#seams;
    if (journal !== undefined) this.#journal = journal();
    const life = new Life();
    this.#life = life;
    const drivers = simDrivers(this.sim);
    life.onEnd(() => {
      void drivers.hypervisor.close();
      void drivers.liveness.close();
    });
    const own = life.clock(clock, () => this.skewMs);
    const stop = new AbortController();
    life.onEnd(() => stop.abort(new Error('killed')));
    const { hypervisor, network, storage, guest, liveness } = drivers;
    startAgent(
      {
        drivers: {
          hypervisor: life.holds(hypervisor),
          network: life.holds(network),
          storage: life.holds(storage),
          guest: life.holds(guest),
          liveness: life.holds(liveness),
        },
        dial: (signal) => this.#dial(life, signal),
        clock: own,
        fraction: chance.next,
        identity: { hostId: this.hostId, name: this.name, address: this.name },
        instanceId: chance.uuid(),
        journal: life.holds(this.#journal),
        specs: life.holds(this.specs),
        served: life.holds(this.#served),
        log: (what) => this.#seams.tell(`  ${this.name}: ${what}`),
        hostname: this.name,
        bootId: this.sim.bootId,
        agentVersion: 'simulated',
        versions: {},
        status: () => ({ load1: 0, freeMemoryMib: this.sim.memoryMib - this.sim.usedMemoryMib }),
      },
      stop.signal,
    ).catch((error: unknown) => {
      if (life.isAlive) this.#seams.tell(`  ${this.name}: the agent did not start: ${String(error)}`);
    });
    this.noteHealth();
  }

  async #dial(life: Life, signal: AbortSignal): Promise<Link> {
    const { clock, connect, chance } = this.#seams;
    const own = life.clock(clock);
    const cable = this.#cable;
    if (this.#cut.size > 0) await own.sleep(dialTimeoutMs, signal);
    else await own.sleep(chance.between(1, 5), signal);
    if (this.#cut.size > 0 || cable !== this.#cable) throw new Error('it does not answer');
    const { manager, host } = cable.link();
    if (!connect(this, manager)) {
      manager.close('refused');
      throw new Error('connection refused');
    }
    this.#watchSilence(own, host, 0);
    return life.link(host);
  }

  #watchSilence(clock: Clock, link: Link & { readonly isOpen: boolean }, unanswered: number): void {
    clock.after(pingEveryMs, () => {
      if (!link.isOpen) return;
      if (unanswered >= maxUnansweredPings) return link.close('no pings were answered');
      this.#watchSilence(clock, link, this.#cut.size > 0 ? unanswered + 1 : 0);
    });
  }

  #newCable(): Cable {
    const { clock, chance } = this.#seams;
    return new Cable(clock, () => chance.between(1, 4));
  }

  #newJournal(): Journal {
    return this.#seams.journal?.() ?? new MemoryJournal();
  }
}
