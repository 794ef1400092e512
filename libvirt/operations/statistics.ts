/** What a domain uses. Counters start anew with each start of the domain. */
import type { Caller } from '../caller.ts';
import type { CallOptions } from '../connection.ts';
import type { ResultOf } from '../procedures/table.ts';
import { type ParamRecord, paramRecord } from '../typed-params.ts';
import { byUuid } from '../wire-types.ts';

export type BlockStats = ResultOf<'domainBlockStats'>;
export type InterfaceStats = ResultOf<'domainInterfaceStats'>;

/** In the order of virDomainMemoryStatTags; KiB, except faults and page counts, and `lastUpdate` in seconds of Unix time. */
const memoryStatNames = [
  'swapIn',
  'swapOut',
  'majorFaults',
  'minorFaults',
  'unused',
  'available',
  'actualBalloon',
  'rss',
  'usable',
  'lastUpdate',
  'diskCaches',
  'hugetlbAllocations',
  'hugetlbFailures',
] as const;
export type MemoryStats = Readonly<Partial<Record<(typeof memoryStatNames)[number], number>>>;

export interface DomainStatsRecord {
  readonly uuid: string;
  readonly name: string;
  /** libvirt's names: `state.state`, `cpu.time`, `balloon.current`, `vcpu.0.time`, `net.0.rx.bytes`, `block.0.rd.bytes` … */
  readonly stats: ParamRecord;
}

export interface VcpuInfo {
  readonly number: number;
  readonly state: 'offline' | 'running' | 'blocked' | 'unknown';
  readonly cpuTimeNs: number;
  /** The host CPU that it runs on. */
  readonly cpu: number;
}

const vcpuStates = ['offline', 'running', 'blocked'] as const;

export class StatisticsOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Of many domains in one call: `domains` or all of them; `stats`: DomainStats, 0 = all; `flags`: AllDomainStatsFlags. */
  async all(
    query: { readonly domains?: readonly string[]; readonly stats?: number; readonly flags?: number } = {},
    options: CallOptions = {},
  ): Promise<DomainStatsRecord[]> {
    const args = { domains: (query.domains ?? []).map(byUuid), stats: query.stats ?? 0, flags: query.flags ?? 0 };
    const { records } = await this.#caller.call('connectGetAllDomainStats', args, options);
    return records.map(({ domain, params }) => ({
      uuid: domain.uuid,
      name: domain.name,
      stats: paramRecord(params),
    }));
  }

  async block(uuid: string, disk: string): Promise<BlockStats> {
    return this.#caller.call('domainBlockStats', { domain: byUuid(uuid), disk });
  }

  /** `device`: the host's interface name, or the NIC's MAC address. */
  async interface(uuid: string, device: string): Promise<InterfaceStats> {
    return this.#caller.call('domainInterfaceStats', { domain: byUuid(uuid), device });
  }

  async memory(uuid: string): Promise<MemoryStats> {
    const args = { domain: byUuid(uuid), maxStats: memoryStatNames.length, flags: 0 };
    const { stats } = await this.#caller.call('domainMemoryStats', args);
    const known = stats.flatMap(({ tag, value }) => {
      const name = memoryStatNames[tag];
      return name === undefined ? [] : [[name, value] as const];
    });
    return Object.fromEntries(known);
  }

  /** How often the guest reports its memory, 0 = never; `flags`: AffectFlags. */
  async setMemoryPeriod(uuid: string, periodSeconds: number, flags: number): Promise<void> {
    await this.#caller.call('domainSetMemoryStatsPeriod', { domain: byUuid(uuid), periodSeconds, flags });
  }

  /** Of a running domain. */
  async vcpus(uuid: string): Promise<VcpuInfo[]> {
    const { vcpus } = await this.#caller.call('domainGetInfo', { domain: byUuid(uuid) });
    const args = { domain: byUuid(uuid), maxInfo: vcpus, mapLength: 0 };
    const { info } = await this.#caller.call('domainGetVcpus', args);
    return info.map((vcpu) => ({ ...vcpu, state: vcpuStates[vcpu.state] ?? 'unknown' }));
  }

  /** Nanoseconds: `cpu_time` and, where cgroups count them, `user_time` and `system_time`. */
  async cpuTotal(uuid: string): Promise<ParamRecord> {
    const domain = byUuid(uuid);
    const first = { domain, count: 0, startCpu: -1, cpus: 1, flags: 0 };
    const { count } = await this.#caller.call('domainGetCpuStats', first);
    return paramRecord((await this.#caller.call('domainGetCpuStats', { ...first, count })).params);
  }
}
