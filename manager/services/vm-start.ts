/**
 * Starting a VM: where it is defined, on a host that is up and has room. Of a host that is proven dead a VM may be started
 * elsewhere, when all its disks can be reached from there. Without that proof a VM whose host is not connected is `unknown`, and
 * nothing starts it, because nothing can tell that it does not run any more.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { covers } from '@kvasir/control/ha/fence-proof.ts';
import { type FenceProofRow, proofOf, validProof } from '../store/fence-proofs.ts';
import { haRestarts, openRestart } from '../store/ha-incidents.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hostHa } from '../store/host-ha.ts';
import { taskIdOf } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { disksOf, volumeTarget } from '../tasks/vm-delete-intent.ts';
import { requireAdmission } from './admission.ts';
import type { Change, ChangeService } from './call.ts';
import { checkRevision } from './changes.ts';
import { chooseHost } from './placement.ts';
import { startTask } from './tasks.ts';
import { about, placementOf, requireRoom, wanted } from './vm-power.ts';
import { findVm } from './vms.ts';

export const startVm: ChangeService<typeof vmOperations.start> = async (change, { params, query, body }) => {
  const paused = body.paused ?? false;
  const found = await findVm(change, params.vm, query.project);
  const proof = await deathOfHost(change, found);
  if (proof !== undefined) return startElsewhere(change, found, proof, paused);
  const vm = await wanted(change, params.vm, query.project, 'start', paused ? 'paused' : 'running');
  await requireRoom(change, vm, vm);
  const task = await startTask(change, { kind: 'vm-start', params: { vmId: vm.id, paused }, ...about(vm) });
  await requireAdmission(change, vm);
  return task;
};

/** The proof that the VM does not run where it is defined; undefined when its host is not proven dead. */
async function deathOfHost(change: Change, vm: VmRow): Promise<FenceProofRow | undefined> {
  if (vm.state !== 'unknown' || vm.hostId === null) return undefined;
  const row = await validProof(change.tx, vm.hostId);
  if (row === undefined) return undefined;
  const pools = (await disksOf(change.tx, vm.id)).map(({ poolId }) => poolId);
  return covers(proofOf(row), pools) ? row : undefined;
}

async function startElsewhere(change: Change, vm: VmRow, proof: FenceProofRow, paused: boolean): Promise<Task> {
  const { tx, env } = change;
  const refused = (state: string): KvasirError =>
    new KvasirError('wrong-state', { action: 'start', kind: vms.kind, name: vm.name, state });
  checkRevision(change, vms.kind, vm);
  const task = await taskIdOf(tx, vm.id);
  if (task !== null) throw new KvasirError('busy', { kind: vms.kind, name: vm.name, task });
  await endGivenUpRestart(change, vm, 'start');
  const seen = await hostDomains.find(tx, { hostId: proof.hostId, domainId: vm.id });
  if (seen?.state === 'suspended') throw refused('suspended, with its memory on a host that is dead');
  const unwell = (await hostHa.select(tx)).filter(({ state }) => state !== 'running').map(({ hostId }) => hostId);
  const excludeHostIds = [...new Set([...unwell, proof.hostId])];
  const request = { ...(await placementOf(tx, vm, vm)), excludeHostIds, leftHostIds: [proof.hostId] };
  const toHostId = await chooseHost(change, vm.clusterId, request);
  const desiredState = paused ? 'paused' : 'running';
  const changes = { desiredState, reservedHostId: toHostId } as const;
  const row = await vms.update(tx, vm.id, changes, { now: env.clock.now() });
  return startTask(change, {
    kind: 'vm-restart',
    params: { vmId: vm.id, fromHostId: proof.hostId, toHostId, proofId: proof.id, paused },
    ...about(row),
    locks: (await disksOf(tx, vm.id)).map(volumeTarget),
  });
}

/**
 * A restart whose tries are used up holds up nobody: it ends, and high availability begins anew should this come to nothing.
 * @throws wrong-state while it is being tried
 */
export async function endGivenUpRestart({ tx, env }: Change, { id, name }: VmRow, action: string): Promise<void> {
  const restart = await openRestart(tx, id);
  if (restart === undefined) return;
  if (restart.state !== 'failed') {
    const state = 'being restarted by high availability';
    throw new KvasirError('wrong-state', { action, kind: vms.kind, name, state });
  }
  const now = env.clock.now();
  const ended = { state: 'dropped', endedAt: now, since: now, reason: 'somebody took care of it' } as const;
  await haRestarts.set(tx, { id: restart.id }, ended);
}
