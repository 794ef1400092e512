/**
 * The hosts of one simulation and what lies between them: shared directories, the network of migrations, and the record of
 * what must never be. Every transition of a domain between running and not running passes through `runs`, so that the
 * first invariant, a VM never runs twice, is watched at every step and not only at the end.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { SimDirectory } from './directory.ts';
import { SimHost, type SimHostOptions } from './host.ts';

export interface Violation {
  readonly kind: 'runs-twice';
  readonly vmId: string;
  /** All hosts that it runs on, the newest last. */
  readonly hostIds: readonly string[];
  readonly atMs: number;
}

export interface SimWorldOptions {
  readonly clock: Clock;
  /** In [0, 1); the same sequence gives the same world. */
  readonly random: () => number;
  /** As QEMU does on a storage with locks: a second start on a shared volume is refused. Default false, the harsher world. */
  readonly imageLocks?: boolean;
}

export class SimWorld {
  readonly clock: Clock;
  readonly random: () => number;
  readonly imageLocks: boolean;
  readonly violations: Violation[] = [];
  /** Hosts that their watchdog reset, in order. */
  readonly watchdogResets: { readonly hostId: string; readonly atMs: number }[] = [];
  /** Called after such a reset, when the host has booted: its agent has to be started anew. */
  readonly resetListeners = new Set<(host: SimHost) => void>();
  readonly #hosts = new Map<string, SimHost>();
  readonly #shared = new Map<string, SimDirectory>();
  readonly #running = new Map<string, string[]>();
  readonly #cuts = new Set<string>();

  constructor(options: SimWorldOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.imageLocks = options.imageLocks ?? false;
  }

  addHost(options: SimHostOptions): SimHost {
    if (this.#hosts.has(options.hostId)) throw new Error(`host ${options.hostId} exists`);
    const host = new SimHost(this, options);
    this.#hosts.set(options.hostId, host);
    return host;
  }

  get hosts(): readonly SimHost[] {
    return [...this.#hosts.values()];
  }

  host(hostId: string): SimHost | undefined {
    return this.#hosts.get(hostId);
  }

  /** The directory that every host of the world sees at this path when its pool is shared. */
  sharedDirectory(path: string): SimDirectory {
    const directory = this.#shared.get(path) ?? new SimDirectory(path);
    this.#shared.set(path, directory);
    return directory;
  }

  /** Hosts on which the VM runs (or is paused) now. */
  runningOn(vmId: string): readonly string[] {
    return this.#running.get(vmId) ?? [];
  }

  /** Migrations between the two fail, also those under way. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
  }
  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
  }
  isCut(a: string, b: string): boolean {
    return this.#cuts.has(pair(a, b));
  }

  /** Whether a datagram of the one reaches the other over the management network, and the answer comes back. */
  hears(from: string, to: string): boolean {
    const both = [this.#hosts.get(from), this.#hosts.get(to)];
    return both.every((host) => host?.isOn === true && host.onManagementNetwork) && !this.isCut(from, to);
  }

  /** For hosts: this domain runs here from now on, or no longer. */
  runs(vmId: string, hostId: string, running: boolean): void {
    const before = this.#running.get(vmId) ?? [];
    const others = before.filter((other) => other !== hostId);
    const now = running ? [...others, hostId] : others;
    if (now.length === 0) this.#running.delete(vmId);
    else this.#running.set(vmId, now);
    if (running && now.length > 1 && !before.includes(hostId)) {
      this.violations.push({ kind: 'runs-twice', vmId, hostIds: now, atMs: this.clock.now() });
    }
  }

  /** For hosts: the moment of a migration at which the domain is at neither side twice. */
  moves(vmId: string, from: string, to: string): void {
    this.runs(vmId, from, false);
    this.runs(vmId, to, true);
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
