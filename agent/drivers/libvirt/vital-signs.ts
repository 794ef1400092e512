/**
 * Whether the guests of running domains give signs of life, and why a domain ended: what libvirt says once and does not keep.
 *
 * A guest lives when its agent answers or its disks do anything. Only a guest whose agent has answered since the domain started
 * can be found quiet: of any other, silence tells nothing. A watchdog that ran out stays noted until the next start or reset.
 */
import type { GuestSigns } from '@kvasir/api/agent/vm.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import { AllDomainStatsFlags, DomainStats } from '@kvasir/libvirt/host-flags.ts';
import type { LibvirtGuest } from './guest.ts';

export const lookEveryMs = 10_000;
/** A guest that has been quiet for so long is reported with each look. */
export const tellAfterMs = 30_000;

/** Of each look in the average, and how much it must differ, in processors, to be told. */
const lookWeight = 0.2;
const tellCpus = 0.25;

interface Known {
  ioOperations: bigint | undefined;
  /** Its processor time, and when that was read. */
  cpu: { readonly timeNs: number; readonly atMs: number } | undefined;
  cpusUsed: number | undefined;
  cpusTold: number;
  /** `performance.now()` of the last sign; undefined: its agent has never answered. */
  livedMs: number | undefined;
  watchdogFired: boolean;
}

export class VitalSigns {
  readonly #client: LibvirtClient;
  readonly #guest: Pick<LibvirtGuest, 'ping'>;
  readonly #tell: (vmId: string, name: string) => void;
  readonly #known = new Map<string, Known>();
  readonly #panicked = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(client: LibvirtClient, guest: Pick<LibvirtGuest, 'ping'>, tell: (vmId: string, name: string) => void) {
    this.#client = client;
    this.#guest = guest;
    this.#tell = tell;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), lookEveryMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** An event of libvirt. */
  heard(event: DomainEvent): void {
    const { uuid } = event;
    if (event.kind === 'reboot') return this.#afresh(uuid);
    if (event.kind === 'watchdog') {
      this.#of(uuid).watchdogFired = true;
      return;
    }
    if (event.kind !== 'lifecycle') return;
    if (event.event === 'crashed') this.#panicked.add(uuid);
    if (event.event === 'started' || event.event === 'undefined') this.#panicked.delete(uuid);
    if (event.event === 'started' || event.event === 'stopped') this.#afresh(uuid);
    // Time in which it was held up was not its own silence.
    if (event.event === 'resumed') this.#lives(uuid);
  }

  /** The guest's agent answered. */
  answered(vmId: string): void {
    this.#of(vmId).livedMs = performance.now();
  }

  of(vmId: string): GuestSigns {
    const known = this.#known.get(vmId);
    const livedMs = known?.livedMs;
    const quietMs = livedMs === undefined ? null : Math.round(performance.now() - livedMs);
    return {
      watchdogFired: known?.watchdogFired ?? false,
      quietMs: quietMs !== null && quietMs < tellAfterMs ? 0 : quietMs,
      ...(known?.cpusUsed === undefined ? {} : { cpusUsed: Math.round(known.cpusUsed * 100) / 100 }),
    };
  }

  /** The last end of the domain was a panic of its guest. */
  panicked(vmId: string): boolean {
    return this.#panicked.has(vmId);
  }

  /** Looks at all domains once. */
  async look(): Promise<void> {
    // A guest that hangs holds up the answer for seconds.
    if (this.#looking) return;
    this.#looking = true;
    try {
      const records = await this.#client.statistics.all({
        stats: DomainStats.VIR_DOMAIN_STATS_BLOCK | DomainStats.VIR_DOMAIN_STATS_CPU_TOTAL,
        flags: AllDomainStatsFlags.VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING,
      });
      for (const { uuid, name, stats } of records) this.#count(uuid, name, Number(stats['cpu.time'] ?? Number.NaN));
      await Promise.all(records.map(({ uuid, name, stats }) => this.#lookAt(uuid, name, ioOperations(stats))));
    } catch {
      // The connection is gone: nothing was seen, so nothing was quiet either.
      for (const vmId of this.#known.keys()) this.#lives(vmId);
    } finally {
      this.#looking = false;
    }
  }

  #count(vmId: string, name: string, timeNs: number): void {
    const known = this.#of(vmId);
    const before = known.cpu;
    const atMs = performance.now();
    if (Number.isNaN(timeNs)) return;
    known.cpu = { timeNs, atMs };
    if (before === undefined || atMs <= before.atMs || timeNs < before.timeNs) return;
    const used = (timeNs - before.timeNs) / 1e6 / (atMs - before.atMs);
    known.cpusUsed = known.cpusUsed === undefined ? used : known.cpusUsed + lookWeight * (used - known.cpusUsed);
    if (Math.abs(known.cpusUsed - known.cpusTold) < tellCpus) return;
    known.cpusTold = known.cpusUsed;
    this.#tell(vmId, name);
  }

  async #lookAt(vmId: string, name: string, operations: bigint): Promise<void> {
    const known = this.#of(vmId);
    const worked = known.ioOperations !== undefined && known.ioOperations !== operations;
    known.ioOperations = operations;
    if (known.livedMs === undefined) return;
    const { quietMs } = this.of(vmId);
    if (worked || (await this.#guest.ping(vmId).catch(() => false))) {
      known.livedMs = performance.now();
      if (quietMs !== 0) this.#tell(vmId, name);
      return;
    }
    if (this.of(vmId).quietMs !== 0) this.#tell(vmId, name);
  }

  #of(vmId: string): Known {
    const known = this.#known.get(vmId) ?? unknown();
    this.#known.set(vmId, known);
    return known;
  }

  #lives(vmId: string): void {
    const known = this.#known.get(vmId);
    if (known?.livedMs !== undefined) known.livedMs = performance.now();
  }

  #afresh(vmId: string): void {
    this.#known.delete(vmId);
  }
}

function unknown(): Known {
  const nothing = { ioOperations: undefined, livedMs: undefined, cpu: undefined, cpusUsed: undefined };
  return { ...nothing, cpusTold: 0, watchdogFired: false };
}

/** Reads, writes and flushes of all its disks. */
function ioOperations(stats: Readonly<Record<string, unknown>>): bigint {
  let sum = 0n;
  for (const [name, value] of Object.entries(stats)) {
    if (/^block\.\d+\.(rd|wr|fl)\.reqs$/.test(name)) sum += BigInt(value as number | bigint);
  }
  return sum;
}
