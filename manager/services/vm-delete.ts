/** The trash: deleting a VM keeps it and its disks for a day, unless it is purged; restoring places it anew. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { disksOf, enqueueVmDelete, volumeTarget } from '../tasks/vm-delete-intent.ts';
import { projectOf } from './access.ts';
import type { ChangeService } from './call.ts';
import { chooseHost } from './placement.ts';
import { checkQuota } from './quota.ts';
import { startTask, taskView } from './tasks.ts';
import { about, placementOf } from './vm-power.ts';
import { findVm, requireAction } from './vms.ts';

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
  const userId = change.actor?.userId ?? null;
  return taskView(change.tx, await enqueueVmDelete(change.tx, change.env, vm, { purge: query.purge ?? false, userId }));
};

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
  const hostId = await chooseHost(change, vm.clusterId, await placementOf(change.tx, vm, vm));
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
