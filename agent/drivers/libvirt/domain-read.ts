/** What libvirt's XML says of a domain: whether it is ours, the spec it was made from, and how it differs from it by now. */
import { VmSpec } from '@kvasir/api/agent/vm.ts';
import { Value } from 'typebox/value';
import { diskAlias } from './domain-xml.ts';
import { nicAlias } from './nic-alias.ts';
import { type Element, find, findAll, textOf } from './xml.ts';

export interface DomainFacts {
  readonly cpus: number;
  readonly memoryMib: number;
  /** What the balloon leaves to the guest. */
  readonly balloonMib: number;
  readonly disks: readonly { readonly device: string; readonly alias: string | undefined; readonly path: string }[];
  readonly nics: readonly { readonly macAddress: string; readonly alias: string | undefined }[];
}

function markOf(domain: Element): Element | undefined {
  return find(domain, 'metadata', 'kvasir:vm');
}

/** Whether it carries our mark, be it one that cannot be read: a VM that is not reported would be started elsewhere. */
export function isOurs(domain: Element): boolean {
  return markOf(domain) !== undefined;
}

/** The spec in our mark; null: there is none, or it is not one of this release. */
export function specOf(domain: Element): VmSpec | null {
  const mark = markOf(domain);
  if (!mark) return null;
  try {
    const spec: unknown = JSON.parse(textOf(mark));
    return Value.Check(VmSpec, spec) ? spec : null;
  } catch {
    return null;
  }
}

export function factsOf(domain: Element): DomainFacts {
  const vcpu = find(domain, 'vcpu');
  const devices = find(domain, 'devices');
  return {
    cpus: Number(vcpu?.attributes.current ?? textOf(vcpu)),
    memoryMib: mib(find(domain, 'memory')),
    balloonMib: mib(find(domain, 'currentMemory') ?? find(domain, 'memory')),
    disks: findAll(devices, 'disk')
      .filter((disk) => disk.attributes.device !== 'cdrom')
      .map((disk) => ({
        device: find(disk, 'target')?.attributes.dev ?? '',
        alias: find(disk, 'alias')?.attributes.name,
        path: find(disk, 'source')?.attributes.file ?? '',
      })),
    // The other half of a pair is another device, and comes and goes with migrations.
    nics: findAll(devices, 'interface').map((nic) => ({
      macAddress: find(nic, 'mac')?.attributes.address ?? '',
      alias: find(nic, 'alias')?.attributes.name,
    })),
  };
}

/** In words for people: what somebody else changed since the spec was applied. Empty: nothing. @param spec null: it cannot be read */
export function driftOf(spec: VmSpec | null, domain: Element): string[] {
  if (spec === null) return ['what Kvasir noted in its definition cannot be read'];
  const facts = factsOf(domain);
  const drift: string[] = [];
  if (facts.cpus !== spec.cpus) drift.push(`it has ${facts.cpus} processors, not ${spec.cpus}`);
  if (facts.memoryMib !== spec.memoryMib) drift.push(`its memory is ${facts.memoryMib} MiB, not ${spec.memoryMib}`);
  if (facts.balloonMib < facts.memoryMib) drift.push(`a balloon leaves ${facts.balloonMib} MiB to the guest`);
  const disks = new Set(facts.disks.map((disk) => disk.alias));
  const nics = new Set(facts.nics.map((nic) => nic.alias));
  for (const disk of spec.disks)
    if (!disks.has(diskAlias(disk.volumeId))) drift.push(`disk ${disk.device} was taken away`);
  for (const nic of spec.nics) if (!nics.has(nicAlias(nic.nicId))) drift.push(`NIC ${nic.macAddress} was taken away`);
  const ownDisks = new Set(spec.disks.map((disk) => diskAlias(disk.volumeId)));
  const ownNics = new Set(spec.nics.map((nic) => nicAlias(nic.nicId)));
  for (const disk of facts.disks)
    if (!ownDisks.has(disk.alias ?? '')) drift.push(`disk ${disk.device} (${disk.path}) was added`);
  for (const nic of facts.nics) if (!ownNics.has(nic.alias ?? '')) drift.push(`NIC ${nic.macAddress} was added`);
  return drift;
}

const unitKib: Readonly<Record<string, number>> = { KiB: 1, MiB: 1024, GiB: 1_048_576 };
function mib(memory: Element | undefined): number {
  return (Number(textOf(memory)) * (unitKib[memory?.attributes.unit ?? 'KiB'] ?? 1)) / 1024;
}
