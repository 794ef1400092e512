/**
 * Whether the guests of running domains give signs of life, and why a domain ended: what libvirt says once and does not keep.
 *
 * A guest lives when its agent answers or its disks do anything. Only a guest whose agent has answered since the domain started
 * can be found quiet: of any other, silence tells nothing. A watchdog that ran out stays noted until the next start or reset.
 *
 * A look without an answer says nothing: neither that the guest lives nor that it is quiet. A QEMU that hangs answers nothing and would
 * carry out no reset either. So a guest is quiet only for as long as looks that were answered found it so, one soon after the other; one
 * look without an answer, and its time begins anew. No domain waits for the answer of another one.
 */
import type { GuestSigns } from '@kvasir/api/agent/vm.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import { ListFlags } from '@kvasir/libvirt/domain-flags.ts';
import { AllDomainStatsFlags, DomainStats } from '@kvasir/libvirt/host-flags.ts';
import type { DomainStatsRecord } from '@kvasir/libvirt/operations/statistics.ts';
import type { LibvirtGuest } from './guest.ts';

export const lookEveryMs = 10_000;
/** A guest that has been quiet for so long is reported with each look. */
export const tellAfterMs = 30_000;
/** Between two looks at a guest; more than that was not seen, as when this process was held up. */
const mostBetweenLooksMs = 2 * lookEveryMs;
/** QEMU's monitor answers at once, or hangs. */
const answerWithinMs = 4000;

/** Of each look in the average, and how much it must differ, in processors, to be told. */
const lookWeight = 0.2;
const tellCpus = 0.25;

interface Known {
  ioOperations: bigint | undefined;
  /** Its processor time, and when that was read. */
  cpu: { readonly timeNs: number; readonly atMs: number } | undefined;
  cpusUsed: number | undefined;
  cpusTold: number;
  /** As the looks have seen it; undefined: its agent has never answered. */
  quietMs: number | undefined;
  /** `performance.now()` up to which it was seen. */
  seenMs: number;
  /** The last look had no answer. */
  isUnseen: boolean;
  /** Its agent is being asked. */
  isAsked: boolean;
  watchdogFired: boolean;
}

/** What a look reads of a domain. Undefined: it was not told. */
interface Work {
  readonly uuid: string;
  readonly name: string;
  readonly cpuTimeNs: number | undefined;
  readonly ioOperations: bigint | undefined;
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
    const known = this.#known.get(uuid);
    if (event.event === 'resumed' && known !== undefined) lives(known);
  }

  /** The guest's agent answered. */
  answered(vmId: string): void {
    const known = this.#of(vmId);
    known.quietMs = 0;
    lives(known);
  }

  of(vmId: string): GuestSigns {
    const known = this.#known.get(vmId);
    const quietMs = known?.quietMs === undefined || known.isUnseen ? null : Math.round(known.quietMs);
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
    if (this.#looking) return;
    this.#looking = true;
    let works: Work[];
    try {
      works = await this.#works();
    } catch {
      // Nothing was seen of anybody, as when the connection is gone.
      for (const known of this.#known.values()) missed(known);
      return;
    } finally {
      this.#looking = false;
    }
    await Promise.all(works.map((work) => this.#lookAt(work)));
  }

  /** In one question, which does not wait for a domain that is known to be busy; when one that is not keeps it waiting, in one for each. */
  async #works(): Promise<Work[]> {
    try {
      return (await this.#ask([])).map(workOf);
    } catch {
      const domains = await this.#client.host.listDomains(ListFlags.VIR_CONNECT_LIST_DOMAINS_RUNNING);
      return Promise.all(
        domains.map(async ({ uuid, name }) => {
          const [record] = await this.#ask([uuid]).catch(() => []);
          return record === undefined ? { uuid, name, cpuTimeNs: undefined, ioOperations: undefined } : workOf(record);
        }),
      );
    }
  }

  /** None: all that run. */
  #ask(domains: readonly string[]): Promise<DomainStatsRecord[]> {
    const { VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING: running, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT: noWait } =
      AllDomainStatsFlags;
    const stats = DomainStats.VIR_DOMAIN_STATS_BLOCK | DomainStats.VIR_DOMAIN_STATS_CPU_TOTAL;
    return this.#client.statistics.all({ domains, stats, flags: running | noWait }, { timeoutMs: answerWithinMs });
  }

  #count(vmId: string, name: string, timeNs: number): void {
    const known = this.#of(vmId);
    const before = known.cpu;
    const atMs = performance.now();
    known.cpu = { timeNs, atMs };
    if (before === undefined || atMs <= before.atMs || timeNs < before.timeNs) return;
    const used = (timeNs - before.timeNs) / 1e6 / (atMs - before.atMs);
    known.cpusUsed = known.cpusUsed === undefined ? used : known.cpusUsed + lookWeight * (used - known.cpusUsed);
    if (Math.abs(known.cpusUsed - known.cpusTold) < tellCpus) return;
    known.cpusTold = known.cpusUsed;
    this.#tell(vmId, name);
  }

  async #lookAt({ uuid, name, cpuTimeNs, ioOperations }: Work): Promise<void> {
    if (cpuTimeNs !== undefined) this.#count(uuid, name, cpuTimeNs);
    const known = this.#of(uuid);
    // A guest that hangs holds up the answer for seconds; what its disks do meanwhile the look after that sees.
    if (known.isAsked) return;
    const worked =
      known.ioOperations !== undefined && ioOperations !== undefined && known.ioOperations !== ioOperations;
    known.ioOperations = ioOperations ?? known.ioOperations;
    if (known.quietMs === undefined) return;
    const before = this.of(uuid).quietMs;
    const answers = worked || (await this.#answers(known, uuid));
    if (answers === true) lives(known);
    else if (answers === 'unknown' || ioOperations === undefined) missed(known);
    else wasQuiet(known);
    const { quietMs } = this.of(uuid);
    if (quietMs !== before || (quietMs ?? 0) > 0) this.#tell(uuid, name);
  }

  async #answers(known: Known, vmId: string): Promise<boolean | 'unknown'> {
    known.isAsked = true;
    try {
      return await this.#guest.ping(vmId);
    } catch {
      return 'unknown';
    } finally {
      known.isAsked = false;
    }
  }
  #of(vmId: string): Known {
    const known = this.#known.get(vmId) ?? unknown();
    this.#known.set(vmId, known);
    return known;
  }

  #afresh(vmId: string): void {
    this.#known.delete(vmId);
  }
}

function unknown(): Known {
  const nothing = { ioOperations: undefined, cpu: undefined, cpusUsed: undefined, quietMs: undefined };
  return { ...nothing, seenMs: 0, isUnseen: false, isAsked: false, cpusTold: 0, watchdogFired: false };
}

function lives(known: Known): void {
  known.isUnseen = false;
  begin(known);
}

function missed(known: Known): void {
  known.isUnseen = true;
  begin(known);
}

function wasQuiet(known: Known): void {
  const now = performance.now();
  known.isUnseen = false;
  known.quietMs = (known.quietMs ?? 0) + Math.min(now - known.seenMs, mostBetweenLooksMs);
  known.seenMs = now;
}

/** Its time of silence begins now, if it can have any. */
function begin(known: Known): void {
  if (known.quietMs !== undefined) known.quietMs = 0;
  known.seenMs = performance.now();
}

function workOf({ uuid, name, stats }: DomainStatsRecord): Work {
  const time = stats['cpu.time'];
  return { uuid, name, cpuTimeNs: time === undefined ? undefined : Number(time), ioOperations: ioOperations(stats) };
}

/** Reads, writes and flushes of all its disks. Undefined: its monitor was not asked, or did not tell. */
function ioOperations(stats: DomainStatsRecord['stats']): bigint | undefined {
  const counts = Object.entries(stats).filter(([name]) => /^block\.\d+\.(rd|wr|fl)\.reqs$/.test(name));
  if (counts.length === 0 && stats['block.count'] !== 0) return undefined;
  return counts.reduce((sum, [, count]) => sum + BigInt(count), 0n);
}
