/** A domain's spec with and without a device; one that is there already is replaced. */
import type { DomainDisk, DomainNic, DomainSpec } from '../hypervisor.ts';

export function withDisk(spec: DomainSpec, disk: DomainDisk): DomainSpec {
  return { ...spec, disks: [...withoutDisk(spec, disk.spec.volumeId).disks, disk] };
}

export function withoutDisk(spec: DomainSpec, volumeId: string): DomainSpec {
  return { ...spec, disks: spec.disks.filter((disk) => disk.spec.volumeId !== volumeId) };
}

export function withNic(spec: DomainSpec, nic: DomainNic): DomainSpec {
  return { ...spec, nics: [...withoutNic(spec, nic.spec.nicId).nics, nic] };
}

export function withoutNic(spec: DomainSpec, nicId: string): DomainSpec {
  return { ...spec, nics: spec.nics.filter((nic) => nic.spec.nicId !== nicId) };
}
