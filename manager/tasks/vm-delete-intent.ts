/** The intent to delete a VM, for whoever has it: a person, or the trash whose time is over. */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Executor, Tx } from '../store/database.ts';
import type { TaskRow } from '../store/tasks.ts';
import { vmDisks, type VmRow } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { deletingHost } from './deleting-host.ts';
import { enqueueTask } from './enqueue.ts';

const trashPeriodMs = 86_400_000;

/** `vm` is in a state in which it may be deleted. @throws busy, host-unreachable */
export async function enqueueVmDelete(
  tx: Tx,
  seams: { readonly clock: Clock; readonly ids: Ids },
  vm: VmRow,
  { purge, userId }: { readonly purge: boolean; readonly userId: string | null },
): Promise<TaskRow> {
  const disks = await disksOf(tx, vm.id);
  const deleteVolumes = [];
  if (purge) {
    for (const volume of disks) {
      deleteVolumes.push({ volumeId: volume.id, hostId: await deletingHost(tx, volume, vm.hostId) });
    }
  }
  return enqueueTask(tx, seams, {
    kind: 'vm-delete',
    params: {
      vmId: vm.id,
      hostId: vm.hostId,
      stop: vm.state === 'running' || vm.state === 'paused' || vm.state === 'crashed',
      purge,
      purgeAt: purge ? null : seams.clock.now() + trashPeriodMs,
      deleteVolumes,
    },
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    userId,
    locks: disks.map(volumeTarget),
  });
}

/** Volumes of a VM's disks. */
export async function disksOf(db: Executor, vmId: string): Promise<VolumeRow[]> {
  const disks = await vmDisks.select(db, { vmId });
  return volumes.select(db, { id: disks.map(({ volumeId }) => volumeId) });
}

export function volumeTarget({ id, name }: VolumeRow) {
  return { kind: 'volume', id, name };
}
