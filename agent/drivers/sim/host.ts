/**
 * One simulated host: what its hypervisor, switch and disks hold. The object is the host, not the agent: drivers made anew
 * on it (`simDrivers`) find everything as it was, as after a restart of the agent. `powerOff` is what a power failure does:
 * running domains are gone, definitions, volumes and saved memory stay, taps do not.
 */
import type { DomainState } from '@kvasir/api/agent/vm.ts';
import { emptySlice, type NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { DomainEvent, DomainSpec } from '../hypervisor.ts';
import type { Port } from '../network.ts';
import { SimDirectory, type SimVolume } from './directory.ts';
import { SimDomain } from './domain.ts';
import { SimFaults } from './faults.ts';
import { SimKeeper } from './keeper.ts';
import type { MigrationJob } from './migration.ts';
import { SimStall } from './stall.ts';
import type { SimWorld } from './world.ts';

export interface SimHostOptions {
  readonly hostId: string;
  /** Default 16. */
  readonly cpus?: number;
  /** Default 65,536. What running domains take together; a start that does not fit fails. */
  readonly memoryMib?: number;
  readonly cpuModel?: string;
  readonly usableCpuModels?: readonly string[];
  /** Default true: without one nobody may rely on the leases of this host. */
  readonly hasWatchdog?: boolean;
}

/** How the guests of a host behave; changed at any time. */
export interface GuestBehaviour {
  /** From the start of a domain until its guest agent answers. */
  bootMs: number;
  hasAgent: boolean;
  /** Whether it follows the power button, and how long that takes. */
  obeysShutdown: boolean;
  shutdownMs: number;
}

export class SimHost {
  readonly hostId: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly cpuModel: string;
  readonly usableCpuModels: readonly string[];
  readonly world: SimWorld;
  readonly hasWatchdog: boolean;
  readonly keeper: SimKeeper;
  readonly faults: SimFaults;
  readonly stall: SimStall;
  readonly guests: GuestBehaviour = { bootMs: 0, hasAgent: true, obeysShutdown: true, shutdownMs: 0 };
  /** Duration of a migration's copying per GiB of the VM's memory. */
  migrationMsPerGib = 1000;
  readonly domains = new Map<string, SimDomain>();
  readonly ports = new Map<string, Port & { readonly device: string }>();
  readonly seeds = new Map<string, string>();
  readonly migrations = new Map<string, MigrationJob>();
  /** Carrier of the physical connections of the VM networks, by name. */
  readonly uplinks = new Map<string, boolean>();
  /** False: cut off the management network, both ways, as other hosts notice it. The agent's link is cut by whoever dials. */
  onManagementNetwork = true;
  /** Processes that hang in the storage cannot be killed. */
  ignoresKills = false;
  slice: NetworkSlice = emptySlice;
  #isOn = true;
  readonly #localDirectories = new Map<string, SimDirectory>();
  readonly #listeners = new Set<(event: DomainEvent) => void>();
  readonly #powerWaiters = new Set<() => void>();
  readonly #cutStorage = new Set<string>();
  readonly #storageWaiters = new Map<() => void, string>();
  #boots = 1;

  constructor(world: SimWorld, options: SimHostOptions) {
    this.world = world;
    this.hostId = options.hostId;
    this.cpus = options.cpus ?? 16;
    this.memoryMib = options.memoryMib ?? 65_536;
    this.cpuModel = options.cpuModel ?? 'Simulated';
    this.usableCpuModels = options.usableCpuModels ?? ['qemu64'];
    this.hasWatchdog = options.hasWatchdog ?? true;
    this.faults = new SimFaults(world.clock, world.random);
    this.stall = new SimStall(world.clock);
    this.keeper = new SimKeeper(this);
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** New at each boot. */
  get bootId(): string {
    return `${this.hostId}-boot-${this.#boots}`;
  }

  /** A power failure, at once. Ports are gone with their taps, and so is what the switch was told; what hangs ends. */
  powerOff(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    this.keeper.powerLost();
    for (const domain of this.domains.values()) {
      if (domain.incoming) this.domains.delete(domain.vmId);
      // After a boot nobody knows why it is off.
      else if (domain.isActive) this.change(domain, 'stopped', null);
    }
    this.ports.clear();
    this.slice = emptySlice;
    for (const wake of this.#powerWaiters) wake();
    this.faults.release(hostIsOff());
    this.stall.powerLost(hostIsOff());
  }

  powerOn(): void {
    if (!this.#isOn) this.#boots += 1;
    this.#isOn = true;
  }

  /** What the watchdog does when nobody pets it: a reset, seen from outside a power failure and a boot. */
  watchdogFires(): void {
    this.powerOff();
    this.world.watchdogResets.push({ hostId: this.hostId, atMs: this.world.clock.now() });
    this.powerOn();
    for (const listener of this.world.resetListeners) listener(this);
  }

  /** From now on whatever this host does in that shared directory hangs, its VMs too. */
  cutStorage(path: string): void {
    this.#cutStorage.add(path);
  }
  /** What hung goes on, in order. */
  healStorage(path: string): void {
    this.#cutStorage.delete(path);
    for (const [wake, waitsFor] of [...this.#storageWaiters]) {
      if (waitsFor !== path) continue;
      this.#storageWaiters.delete(wake);
      wake();
    }
  }
  isStorageCut(path: string): boolean {
    return this.#cutStorage.has(path);
  }
  /** Resolves when this host's path to the shared directory is not cut. */
  storageAnswers(path: string): Promise<void> {
    if (!this.#cutStorage.has(path)) return Promise.resolve();
    return new Promise((resolve) => this.#storageWaiters.set(resolve, path));
  }

  /** Throws `host-failed` while the host is off. */
  requirePower(): void {
    if (!this.#isOn) throw hostIsOff();
  }

  /** Calls `wake` at the next power failure. Answers how to stop that. */
  onPowerOff(wake: () => void): () => void {
    this.#powerWaiters.add(wake);
    return () => this.#powerWaiters.delete(wake);
  }

  directory(path: string, shared: boolean): SimDirectory {
    if (shared) return this.world.sharedDirectory(path);
    const directory = this.#localDirectories.get(path) ?? new SimDirectory(path);
    this.#localDirectories.set(path, directory);
    return directory;
  }

  /** The volume's file at an absolute path, as this host sees it. */
  volumeAt(path: string): SimVolume | undefined {
    const [directory, name] = path.split('/volumes/');
    if (directory === undefined || name === undefined) return undefined;
    if (this.#cutStorage.has(directory)) return undefined;
    const at = this.#localDirectories.get(directory) ?? this.world.sharedDirectory(directory);
    return at.mounted ? at.volumes.get(name) : undefined;
  }

  listen(listener: (event: DomainEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Memory that active domains and incoming ones take. */
  get usedMemoryMib(): number {
    let used = 0;
    for (const domain of this.domains.values()) if (domain.isActive) used += domain.spec?.vm.memoryMib ?? 0;
    return used;
  }

  /** Puts a domain into a state, tells the world who runs and the listeners what changed. */
  change(domain: SimDomain, state: DomainState, reason: string | null): void {
    const wasActive = domain.isActive;
    domain.enter(state, reason, this.world.clock.now());
    if (!domain.incoming && wasActive !== domain.isActive) this.world.runs(domain.vmId, this.hostId, domain.isActive);
    this.tell(domain, false, reason);
  }

  remove(domain: SimDomain, because: string): void {
    this.domains.delete(domain.vmId);
    if (domain.isActive && !domain.incoming) this.world.runs(domain.vmId, this.hostId, false);
    this.tell(domain, true, because);
  }

  tell(domain: SimDomain, removed: boolean, because: string | null): void {
    if (!this.#isOn) return;
    this.stall.tell(domain.vmId, () => {
      const event: DomainEvent = { domain: domain.report(this), removed, because };
      for (const listener of this.#listeners) listener(event);
    });
  }

  /** What somebody else does behind Kvasir's back (`virsh destroy`, `virsh start`, a crash of QEMU). */
  interfere(vmId: string, what: 'destroy' | 'start' | 'crash' | 'undefine'): void {
    const domain = this.domains.get(vmId);
    if (domain === undefined) throw new Error(`no domain ${vmId} on ${this.hostId}`);
    if (what === 'start') this.change(domain, 'running', 'booted');
    if (what === 'destroy') this.change(domain, 'stopped', 'destroyed');
    if (what === 'crash') this.change(domain, 'crashed', 'crashed');
    if (what === 'undefine') this.remove(domain, 'undefined');
  }

  /** Somebody changed the definition; `words` as they stand in the report, empty when it was put right. */
  setDrift(vmId: string, words: readonly string[]): void {
    const domain = this.domains.get(vmId);
    if (domain === undefined) throw new Error(`no domain ${vmId} on ${this.hostId}`);
    domain.drift = [...words];
    this.tell(domain, false, 'changed');
  }

  /** A domain that is none of ours. */
  addForeignDomain(vmId: string, name: string, state: DomainState = 'running'): void {
    const domain = new SimDomain(vmId, name, null);
    this.domains.set(vmId, domain);
    this.change(domain, state, 'booted');
  }

  /** Checks room in memory for a domain that is to become active here. */
  requireRoom(spec: DomainSpec | null): void {
    const needed = spec?.vm.memoryMib ?? 0;
    if (this.usedMemoryMib + needed <= this.memoryMib) return;
    const reason = `cannot allocate memory: ${needed} MiB asked, ${this.memoryMib - this.usedMemoryMib} MiB free`;
    throw new KvasirError('host-failed', { reason });
  }
}

function hostIsOff(): KvasirError {
  return new KvasirError('host-failed', { reason: 'the host is off' });
}
