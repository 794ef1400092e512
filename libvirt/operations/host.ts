/** The host and its hypervisor. */
import type { Caller } from '../caller.ts';
import type { ResultOf } from '../procedures/table.ts';
import { type DomainSummary, summary } from './domain-summary.ts';

/** Which virtual machine is meant; what is left out is the hypervisor's default. */
export interface CpuTarget {
  readonly emulator?: string;
  readonly arch?: string;
  readonly machine?: string;
  readonly virtType?: 'kvm' | 'qemu';
}

export type NodeInfo = ResultOf<'nodeGetInfo'>;

const wireTarget = ({ emulator, arch, machine, virtType }: CpuTarget) => ({
  emulator: emulator ?? null,
  arch: arch ?? null,
  machine: machine ?? null,
  virtType: virtType ?? null,
});

const allCpus = -1;
const allCells = -1;

export class HostOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async hostname(): Promise<string> {
    return (await this.#caller.call('connectGetHostname')).hostname;
  }

  /** major * 1,000,000 + minor * 1,000 + release. */
  async libVersion(): Promise<number> {
    return (await this.#caller.call('connectGetLibVersion')).version;
  }

  /** QEMU's version, in the same form. */
  async hypervisorVersion(): Promise<number> {
    return (await this.#caller.call('connectGetVersion')).version;
  }

  async uri(): Promise<string> {
    return (await this.#caller.call('connectGetUri')).uri;
  }

  /** XML: the host's CPU, its topology, and the guests it can run. */
  async capabilities(): Promise<string> {
    return (await this.#caller.call('connectGetCapabilities')).xml;
  }

  /** XML: what a domain of this kind may have. */
  async domainCapabilities(target: CpuTarget = {}): Promise<string> {
    return (await this.#caller.call('connectGetDomainCapabilities', { ...wireTarget(target), flags: 0 })).xml;
  }

  /** `flags`: ListFlags; 0 = all. */
  async listDomains(flags = 0): Promise<DomainSummary[]> {
    const { domains } = await this.#caller.call('connectListAllDomains', { needResults: true, flags });
    return domains.map(summary);
  }

  async nodeInfo(): Promise<NodeInfo> {
    return this.#caller.call('nodeGetInfo');
  }

  async freeMemoryBytes(): Promise<number> {
    return (await this.#caller.call('nodeGetFreeMemory')).freeBytes;
  }

  /** KiB by name: `total`, `free`, `buffers`, `cached`. */
  async memoryStats(): Promise<Readonly<Record<string, number>>> {
    const { count } = await this.#caller.call('nodeGetMemoryStats', { count: 0, cell: allCells, flags: 0 });
    const { params } = await this.#caller.call('nodeGetMemoryStats', { count, cell: allCells, flags: 0 });
    return Object.fromEntries(params.map(({ field, value }) => [field, value]));
  }

  /** Nanoseconds since boot over all CPUs, by name: `kernel`, `user`, `idle`, `iowait`. */
  async cpuStats(): Promise<Readonly<Record<string, number>>> {
    const { count } = await this.#caller.call('nodeGetCpuStats', { cpu: allCpus, count: 0, flags: 0 });
    const { params } = await this.#caller.call('nodeGetCpuStats', { cpu: allCpus, count, flags: 0 });
    return Object.fromEntries(params.map(({ field, value }) => [field, value]));
  }

  async cpuModelNames(arch: string): Promise<readonly string[]> {
    return (await this.#caller.call('connectGetCpuModelNames', { arch, needResults: true, flags: 0 })).models;
  }

  /** How a CPU definition relates to what this host's hypervisor offers: one of CpuCompareResult. */
  async compareCpu(cpuXml: string, target: CpuTarget = {}, flags = 0): Promise<number> {
    const args = { ...wireTarget(target), xml: cpuXml, flags };
    return (await this.#caller.call('connectCompareHypervisorCpu', args)).result;
  }

  /** XML: the CPU that all of the given ones can provide. */
  async baselineCpu(cpuXmls: readonly string[], target: CpuTarget = {}, flags = 0): Promise<string> {
    const args = { ...wireTarget(target), xmls: cpuXmls, flags };
    return (await this.#caller.call('connectBaselineHypervisorCpu', args)).cpu;
  }
}
