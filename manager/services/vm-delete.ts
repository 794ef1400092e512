/** The trash: deleting a VM keeps it and its disks for a day, unless it is purged; restoring places it anew. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { noteLeftover } from '../store/host-leftovers.ts';
import { taskIdOf } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { disksOf, enqueueVmDelete, volumeTarget } from '../tasks/vm-delete-intent.ts';
import { proofFor } from '../tasks/proven-dead.ts';
import { projectOf } from './access.ts';
import type { Change, ChangeService } from './call.ts';
import { checkRevision } from './changes.ts';
import { chooseHost } from './placement.ts';
import { checkQuota } from './quota.ts';
import { startTask, taskView } from './tasks.ts';
import { about, placementOf } from './vm-power.ts';
import { endGivenUpRestart } from './vm-start.ts';
import { findVm, requireAction } from './vms.ts';

export const deleteVm: ChangeService<typeof vmOperations.delete> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  const left = await leftBehind(change, vm);
  if (left === undefined) await requireAction(change, query.force ? 'forceDelete' : 'delete', vm, 'delete');
  if (vm.state === 'trashed' && !query.purge) {
    throw new KvasirError('wrong-state', {
      action: 'delete',
      kind: vms.kind,
      name: vm.name,
      state: 'in the trash already',
    });
  }
  const userId = change.actor?.userId ?? null;
  const asked = { purge: query.purge ?? false, userId };
  return taskView(change.tx, await enqueueVmDelete(change.tx, change.env, left ?? vm, asked));
};

/**
 * The VM without its host, which is proven dead and clears its definition when it is back. Without such a proof it may run there, and
 * undefined is answered. @throws stale-revision, busy, wrong-state
 */
async function leftBehind(change: Change, vm: VmRow): Promise<VmRow | undefined> {
  const { tx, env } = change;
  const { hostId } = vm;
  if (vm.state !== 'unknown' || hostId === null) return undefined;
  if ((await proofFor(tx, hostId, { vmId: vm.id })) === undefined) return undefined;
  checkRevision(change, vms.kind, vm);
  const task = await taskIdOf(tx, vm.id);
  if (task !== null) throw new KvasirError('busy', { kind: vms.kind, name: vm.name, task });
  await endGivenUpRestart(change, vm, 'delete');
  const place = { hostId, kind: 'domain', targetId: vm.id, poolId: null, format: null } as const;
  await noteLeftover(tx, place, env.ids.uuid(), env.clock.now());
  return { ...vm, hostId: null };
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
