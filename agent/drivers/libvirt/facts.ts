/** What this host's hypervisor can do, from libvirt's capabilities and one trial of KVM (kept, since neither changes under us). */
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { HypervisorFacts } from '../hypervisor.ts';
import type { Trial } from './kvm-trial.ts';
import { find, findAll, readXml, textOf } from './xml.ts';

export async function readFacts(client: LibvirtClient, emulator: string, kvm: Trial): Promise<HypervisorFacts> {
  const virtType = kvm.works ? ('kvm' as const) : ('qemu' as const);
  const [node, memory, libvirt, qemu, capabilities] = await Promise.all([
    client.host.nodeInfo(),
    client.host.memoryStats(),
    client.host.libVersion(),
    client.host.hypervisorVersion(),
    client.host.domainCapabilities({ emulator, arch: 'x86_64', machine: 'q35', virtType }),
  ]);
  return {
    virtualization: kvm.works ? 'kvm' : 'emulation',
    virtualizationReason: kvm.reason,
    cpus: node.cpus,
    cpuModel: await processorName(node.model),
    usableCpuModels: usableModels(capabilities),
    // nodeInfo's memory is that of the NUMA cells, which some kernels report wrongly.
    memoryMib: Math.floor((memory.total ?? node.memoryKib) / 1024),
    versions: { libvirt: dotted(libvirt), qemu: dotted(qemu), kernel: release() },
  };
}

function usableModels(capabilities: string): string[] {
  const modes = findAll(find(readXml(capabilities), 'cpu'), 'mode');
  const custom = modes.find((mode) => mode.attributes.name === 'custom');
  return findAll(custom, 'model')
    .filter((model) => model.attributes.usable === 'yes')
    .map(textOf);
}

async function processorName(fallback: string): Promise<string> {
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  return /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? fallback;
}

function dotted(version: number): string {
  return [Math.floor(version / 1_000_000), Math.floor(version / 1000) % 1000, version % 1000].join('.');
}
