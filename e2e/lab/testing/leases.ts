/** What can be seen of leases and VMs without asking Kvasir: the slots on the storage, the processes on a host. */
import { readFileSync } from 'node:fs';
import { decodeSlot, type LeaseRecord, slotBytes } from '@kvasir/agent/lease/record.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { type ProcessIdentity, processesInNetworkNamespace } from '@kvasir/lab/processes.ts';

/** All records in the shared pool's lease file. */
export function leasesIn(lab: Lab): readonly LeaseRecord[] {
  const bytes = readFileSync(lab.sharedPath('.kvasir-lease'));
  const slots = Array.from({ length: Math.floor(bytes.length / slotBytes) }, (_, index) =>
    decodeSlot(bytes.subarray(index * slotBytes, (index + 1) * slotBytes)),
  );
  return slots.flatMap((slot) => (slot.kind === 'record' ? [slot.record] : []));
}

/** Processes of a host whose command line has these words in this order. */
export function processesWith(host: LabHost, ...words: readonly string[]): ProcessIdentity[] {
  return processesInNetworkNamespace(host.layout.namespace).filter(({ pid }) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return line.some((_word, at) => words.every((wanted, index) => line[at + index] === wanted));
    } catch {
      return false;
    }
  });
}

/** Whether a QEMU of this VM runs on the host, whatever libvirt says. */
export function hasProcess(host: LabHost, vmId: string): boolean {
  return processesWith(host, '-uuid', vmId).length > 0;
}

export function keeperOf(host: LabHost): ProcessIdentity[] {
  return processesInNetworkNamespace(host.layout.namespace).filter(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/agent/keeper.ts\0');
    } catch {
      return false;
    }
  });
}
