/** Moves a VM into the trash, or deletes it for good with volumes. */
import { volumeDelete } from '@kvasir/api/agent/storage.ts';
import { vmDefine, vmStop, vmUndefine } from '@kvasir/api/agent/vm.ts';
import { appendEvent } from '../store/events.ts';
import { closeIncident } from '../store/ha-incidents.ts';
import { openFailure } from '../store/vm-failures.ts';
import { recordVmState } from '../store/vm-state.ts';
import { vmDisks, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { type ApplyContext, defineStep, defineTask } from './kind.ts';
import type { TaskParams } from './params.ts';
import { loadVm, vmSpec } from './vm-spec.ts';
import { volumeRef } from './volume-files.ts';

const stop = defineStep('vm-delete', {
  name: 'stop',
  run: async ({ params, call }) => {
    if (params.hostId === null || !params.stop) return false;
    await call(params.hostId, vmStop, { vmId: params.vmId, timeoutMs: 0 });
    return true;
  },
  apply: async ({ tx, params, task, now }, stopped) => {
    if (stopped) await recordVmState(tx, params.vmId, { state: 'stopped', reason: 'deleted', now, taskId: task.id });
  },
});

const undefine = defineStep('vm-delete', {
  name: 'undefine',
  run: async ({ params, call }) => {
    if (params.hostId !== null) await call(params.hostId, vmUndefine, { vmId: params.vmId });
  },
  undo: async ({ db, params, call }) => {
    if (params.hostId !== null) await call(params.hostId, vmDefine, { vm: vmSpec(await loadVm(db, params.vmId)) });
  },
});

const deleteVolumes = defineStep('vm-delete', {
  name: 'volumes',
  forwardOnly: true,
  run: async ({ db, params, call }) => {
    for (const { volumeId, hostId } of params.deleteVolumes) {
      await call(hostId, volumeDelete, volumeRef(await volumes.get(db, volumeId)), volumeId);
    }
  },
});

type Ending = ApplyContext<TaskParams<'vm-delete'>>;

async function trash({ tx, params, task, now }: Ending): Promise<void> {
  const disks = await vmDisks.select(tx, { vmId: params.vmId });
  for (const disk of disks) await volumes.update(tx, disk.volumeId, { trashedAt: now }, { now });
  const changes = { hostId: null, trashedAt: now, purgeAt: params.purgeAt, desiredState: 'stopped' as const };
  await vms.update(tx, params.vmId, changes, { now });
  await recordVmState(tx, params.vmId, { state: 'trashed', reason: null, now, taskId: task.id });
}

async function purge({ tx, params, task, now }: Ending): Promise<void> {
  const vm = await vms.get(tx, params.vmId);
  // It goes with the VM, and nobody else would end what was told of it.
  const failure = await openFailure(tx, vm.id);
  if (failure !== undefined) await closeIncident(tx, failure.incidentId, now, 'it was deleted');
  await vms.remove(tx, { id: params.vmId });
  await volumes.remove(tx, { id: params.deleteVolumes.map((volume) => volume.volumeId) });
  await appendEvent(tx, {
    at: now,
    kind: 'vm.deleted',
    message: `VM "${vm.name}" was deleted`,
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    taskId: task.id,
    userId: task.userId,
  });
}

export const vmDelete = defineTask({
  kind: 'vm-delete',
  cancellable: false,
  steps: [stop, undefine, deleteVolumes],
  done: async (context) => {
    await (context.params.purge ? purge(context) : trash(context));
  },
});
