/** VMs: what they are asked to be and what was last seen of them; with their disks. */
import type { CloudInit, Guest, Vm, VmState } from '@kvasir/api/resources/vm.ts';
import type { Labels } from '@kvasir/api/schema.ts';
import type { Static } from 'typebox';
import { sql } from 'kysely';
import type { Executor } from './database.ts';
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface VmRow extends Versioned {
  readonly name: string;
  readonly description: string;
  readonly labels: Labels;
  readonly projectId: string;
  readonly clusterId: string;
  /** Where it is defined; null while it lies in the trash or was never made. Its capacity is counted there. */
  readonly hostId: string | null;
  /** Destination of a migration that is going on: its capacity is counted there too. */
  readonly reservedHostId: string | null;
  readonly state: VmState;
  readonly stateReason: string | null;
  readonly desiredState: Vm['desiredState'];
  readonly cpus: number;
  readonly maxCpus: number;
  readonly memoryMib: number;
  readonly maxMemoryMib: number;
  readonly cpuModel: string;
  readonly firmware: 'bios' | 'uefi';
  readonly bootOrder: readonly ('disk' | 'network' | 'cdrom')[];
  readonly affinity: readonly string[];
  readonly antiAffinity: readonly string[];
  /** Secret: never leaves the manager but for the host. */
  readonly cloudInit: CloudInit | null;
  readonly guest: Static<typeof Guest> | null;
  readonly drift: readonly string[];
  readonly startedAt: number | null;
  readonly trashedAt: number | null;
  readonly purgeAt: number | null;
}

/** Names are unique in a project, the trash aside. */
export const vms = new Table<VmRow>({
  table: 'vms',
  kind: 'VM',
  columns: {
    ...versioned,
    name: 'text',
    description: 'text',
    labels: 'json',
    projectId: 'text',
    clusterId: 'text',
    hostId: 'text',
    reservedHostId: 'text',
    state: 'text',
    stateReason: 'text',
    desiredState: 'text',
    cpus: 'integer',
    maxCpus: 'integer',
    memoryMib: 'integer',
    maxMemoryMib: 'integer',
    cpuModel: 'text',
    firmware: 'text',
    bootOrder: 'json',
    affinity: 'json',
    antiAffinity: 'json',
    cloudInit: 'json',
    guest: 'json',
    drift: 'json',
    startedAt: 'integer',
    trashedAt: 'integer',
    purgeAt: 'integer',
  },
});

/**
 * Those that ended by themselves, by id. The condition stands as in the index `vms_crashed` and the database is not asked to sort:
 * SQLite would rather read all VMs in order.
 */
export async function crashedVms(ex: Executor): Promise<VmRow[]> {
  const query = ex.selectFrom('vms').selectAll().where(sql<boolean>`state = 'crashed'`);
  const rows = (await query.execute()).map((stored) => vms.decode(stored));
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

export interface VmDiskRow {
  readonly volumeId: string;
  readonly vmId: string;
  /** Target name: vda, vdb, sda … Unique in the VM. */
  readonly device: string;
  readonly bus: 'virtio' | 'scsi' | 'sata';
  /** Order within the VM, from 0. */
  readonly position: number;
  readonly readOnly: boolean;
}

/** A volume is a disk of one VM at most. Removed with the VM. */
export const vmDisks = new Table<VmDiskRow>({
  table: 'vmDisks',
  kind: 'disk',
  columns: { volumeId: 'text', vmId: 'text', device: 'text', bus: 'text', position: 'integer', readOnly: 'flag' },
  key: 'volumeId',
});
