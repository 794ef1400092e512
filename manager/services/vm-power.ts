/**
 * Stopping, pausing and the rest, where a VM is defined; and what starting it needs besides. Of a VM whose host is not connected
 * the state is `unknown`, and nothing here can be done with it.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { VmAction } from '@kvasir/api/resources/vm-rules.ts';
import type { PlacementRequest } from '@kvasir/control/placement/world.ts';
import type { Executor } from '../store/database.ts';
import { functionsNeeded } from '../store/virtual-functions.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { loadVm } from '../tasks/vm-spec.ts';
import type { Change, ChangeService } from './call.ts';
import { decide, noHostFits } from './placement.ts';
import { startTask } from './tasks.ts';
import { findVm, requireAction } from './vms.ts';

const stopTimeoutMs = 60_000;

export const stopVm: ChangeService<typeof vmOperations.stop> = async (change, { params, query, body }) => {
  const vm = await wanted(change, params.vm, query.project, 'stop', 'stopped');
  const how = { vmId: vm.id, timeoutMs: body.timeoutMs ?? stopTimeoutMs, force: body.force ?? false };
  return startTask(change, { kind: 'vm-stop', params: how, ...about(vm) });
};

export const resetVm: ChangeService<typeof vmOperations.reset> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'reset', vm, 'reset');
  return startTask(change, { kind: 'vm-reset', params: { vmId: vm.id }, ...about(vm) });
};

export const pauseVm: ChangeService<typeof vmOperations.pause> = async (change, { params, query }) => {
  const vm = await wanted(change, params.vm, query.project, 'pause', 'paused');
  return startTask(change, { kind: 'vm-pause', params: { vmId: vm.id }, ...about(vm) });
};

export const resumeVm: ChangeService<typeof vmOperations.resume> = async (change, { params, query }) => {
  const vm = await wanted(change, params.vm, query.project, 'resume', 'running');
  return startTask(change, { kind: 'vm-resume', params: { vmId: vm.id }, ...about(vm) });
};

export const suspendVm: ChangeService<typeof vmOperations.suspend> = async (change, { params, query }) => {
  const vm = await wanted(change, params.vm, query.project, 'suspend', 'suspended');
  return startTask(change, { kind: 'vm-suspend', params: { vmId: vm.id }, ...about(vm) });
};

/** The VM, allowed to do this, with the wanted state noted. */
export async function wanted(
  change: Change,
  nameOrId: string,
  project: string | undefined,
  action: VmAction,
  desiredState: Vm['desiredState'],
): Promise<VmRow> {
  const vm = await findVm(change, nameOrId, project);
  await requireAction(change, action, vm, action);
  if (vm.desiredState === desiredState) return vm;
  return vms.update(change.tx, vm.id, { desiredState }, { now: change.env.clock.now() });
}

/** What a task about this VM says and locks. */
export function about(vm: VmRow) {
  return { target: { kind: 'vm', id: vm.id, name: vm.name }, projectId: vm.projectId };
}

/** What placement must know of an existing VM, with the sizes that it shall have. */
export async function placementOf(
  db: Executor,
  vm: VmRow,
  sizes: Pick<VmRow, 'cpus' | 'memoryMib'>,
): Promise<PlacementRequest> {
  const { disks, nics } = await loadVm(db, vm.id);
  return {
    vmId: vm.id,
    projectId: vm.projectId,
    cpus: sizes.cpus,
    memoryMib: sizes.memoryMib,
    cpuModel: vm.cpuModel,
    affinity: vm.affinity,
    antiAffinity: vm.antiAffinity,
    poolIds: [...new Set(disks.map(({ volume }) => volume.poolId))],
    volumeHostIds: disks.flatMap(({ volume }) => (volume.hostId === null ? [] : [volume.hostId])),
    networkIds: [...new Set(nics.map(({ port }) => port.networkId))],
    virtualFunctions: await functionsNeeded(
      db,
      vm.id,
      nics.flatMap(({ port }) => (port.vnicType === 'direct' ? [port.networkId] : [])),
    ),
  };
}

/** Its own host must be able to take it with these sizes. @throws no-host-fits, wrong-state */
export async function requireRoom(change: Change, vm: VmRow, sizes: Pick<VmRow, 'cpus' | 'memoryMib'>): Promise<void> {
  const { hostId } = vm;
  if (hostId === null) {
    throw new KvasirError('wrong-state', {
      action: 'start',
      kind: vms.kind,
      name: vm.name,
      state: 'defined on no host',
    });
  }
  const request = { ...(await placementOf(change.tx, vm, sizes)), hostId, residentHostId: hostId };
  const decision = await decide(change, vm.clusterId, request);
  if (decision.ok) return;
  const own = decision.refusals.filter((refusal) => refusal.hostId === hostId);
  throw noHostFits(change, own);
}
