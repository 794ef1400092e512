/** The trash: deleting a VM keeps it and its disks for a day, unless it is purged; restoring places it anew. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { Executor } from '../store/database.ts';
import { pools } from '../store/pools.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { workingHost } from '../tasks/working-host.ts';
import { projectOf } from './access.ts';
import type { Change, ChangeService } from './call.ts';
import { chooseHost } from './placement.ts';
import { checkQuota } from './quota.ts';
import { startTask } from './tasks.ts';
import { about, placementOf } from './vm-power.ts';
import { findVm, requireAction } from './vms.ts';

export const trashPeriodMs = 86_400_000;

export const deleteVm: ChangeService<typeof vmOperations.delete> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, query.force ? 'forceDelete' : 'delete', vm, 'delete');
  if (vm.state === 'trashed' && !query.purge) {
    throw new KvasirError('wrong-state', {
      action: 'delete',
      kind: vms.kind,
      name: vm.name,
      state: 'in the trash already',
    });
  }
  return startDelete(change, vm, query.purge ?? false);
};

/** Starts the task; `vm` is in a state in which it may be deleted. @throws busy */
export async function startDelete(change: Change, vm: VmRow, purge: boolean): Promise<Task> {
  const disks = await disksOf(change.tx, vm.id);
  const deleteVolumes = [];
  if (purge) {
    for (const volume of disks) {
      const pool = await pools.get(change.tx, volume.poolId);
      deleteVolumes.push({ volumeId: volume.id, hostId: await workingHost(change.tx, pool, volume.hostId, vm.hostId) });
    }
  }
  return startTask(change, {
    kind: 'vm-delete',
    params: {
      vmId: vm.id,
      hostId: vm.hostId,
      stop: vm.state === 'running' || vm.state === 'paused' || vm.state === 'crashed',
      purge,
      purgeAt: purge ? null : change.env.clock.now() + trashPeriodMs,
      deleteVolumes,
    },
    ...about(vm),
    locks: disks.map(volumeTarget),
  });
}

export const restoreVm: ChangeService<typeof vmOperations.restore> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'restore', vm, 'restore');
  const { trashedAt, purgeAt } = vm;
  if (trashedAt === null)
    throw new KvasirError('wrong-state', { action: 'restore', kind: vms.kind, name: vm.name, state: vm.state });
  await checkQuota(change.tx, await projectOf(change, vm.projectId), {
    vms: 1,
    cpus: vm.cpus,
    memoryMib: vm.memoryMib,
  });
  const hostId = await chooseHost(change.tx, vm.clusterId, await placementOf(change.tx, vm, vm));
  const now = change.env.clock.now();
  await vms.update(change.tx, vm.id, { hostId, trashedAt: null, purgeAt: null }, { now });
  const disks = await disksOf(change.tx, vm.id);
  for (const { id } of disks) await volumes.update(change.tx, id, { trashedAt: null }, { now });
  return startTask(change, {
    kind: 'vm-restore',
    params: { vmId: vm.id, trashedAt, purgeAt },
    ...about(vm),
    locks: disks.map(volumeTarget),
  });
};

/** Volumes of a VM's disks. */
export async function disksOf(db: Executor, vmId: string): Promise<VolumeRow[]> {
  const disks = await vmDisks.select(db, { vmId });
  return volumes.select(db, { id: disks.map(({ volumeId }) => volumeId) });
}

export function volumeTarget({ id, name }: VolumeRow) {
  return { kind: 'volume', id, name };
}
