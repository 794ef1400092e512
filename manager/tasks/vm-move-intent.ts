/** The intent to move a VM to another host of its cluster, for controllers and tasks: by live migration, or at rest. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { describeRefusals } from '@kvasir/control/placement/place-vm.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Tx } from '../store/database.ts';
import { hostHa } from '../store/host-ha.ts';
import { taskIdOf, type TaskRow } from '../store/tasks.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { requestsFor } from './ha-placement.ts';
import type { Enqueue } from './kind.ts';
import { decidePlacement } from './vm-placement.ts';
import { loadVm } from './vm-spec.ts';

export interface MoveSeams {
  readonly enqueue: Enqueue;
  readonly clusterSnapshots: ClusterSnapshots;
}

export interface Move {
  readonly vmId: string;
  /** Where it must be now; a VM that is elsewhere by then is not moved. */
  readonly fromHostId: string;
  /** Exactly this host; left out: whichever placement chooses. */
  readonly toHostId?: string;
  readonly userId: string | null;
}

/**
 * Enqueues what moves the VM: `vm-migrate` when it runs, `vm-rehome` when it is stopped.
 * @throws KvasirError migration-impossible with the reason, busy
 */
export async function enqueueMove(tx: Tx, seams: MoveSeams, move: Move): Promise<TaskRow> {
  const vm = await vms.get(tx, move.vmId);
  const busy = await taskIdOf(tx, vm.id);
  if (busy !== null) throw new KvasirError('busy', { kind: vms.kind, name: vm.name, task: busy });
  const runs = vm.state === 'running' || vm.state === 'paused';
  if (vm.hostId !== move.fromHostId || (!runs && vm.state !== 'stopped')) throw impossible(`it is ${vm.state}`);
  const disks = (await loadVm(tx, vm.id)).disks.map(({ volume }) => volume);
  const local = disks.filter(({ hostId }) => hostId !== null);
  if (!runs && local.length > 0) throw impossible('a disk of it lies in a local pool of this host');
  const toHostId = await destination(tx, seams, vm, move);
  const common = {
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    userId: move.userId,
    locks: disks.map(({ id, name }) => ({ kind: 'volume', id, name })),
  };
  await vms.set(tx, { id: vm.id }, { reservedHostId: toHostId });
  if (!runs) {
    const params = { vmId: vm.id, fromHostId: move.fromHostId, toHostId };
    return await seams.enqueue(tx, { kind: 'vm-rehome', params, ...common });
  }
  const how = { autoConverge: true, maxDowntimeMs: null, bandwidthMibps: null };
  const ends = { sourceHostId: move.fromHostId, destinationHostId: toHostId };
  const params = { vmId: vm.id, ...ends, copyVolumeIds: local.map(({ id }) => id), ...how };
  return await seams.enqueue(tx, { kind: 'vm-migrate', params, ...common });
}

async function destination(tx: Tx, seams: MoveSeams, vm: VmRow, { fromHostId, toHostId }: Move): Promise<string> {
  const [found] = await requestsFor(tx, [vm.id]);
  const unwell = (await hostHa.select(tx)).filter(({ state }) => state !== 'running').map(({ hostId }) => hostId);
  // Local volumes are copied, so they pin a running VM nowhere.
  const excludeHostIds = [...new Set([fromHostId, ...unwell])];
  const request = { ...found!.request, volumeHostIds: [], excludeHostIds, leftHostIds: [fromHostId] };
  const asked = toHostId === undefined ? request : { ...request, hostId: toHostId };
  const decision = await decidePlacement(seams.clusterSnapshots, tx, vm.clusterId, asked);
  if (decision.ok) return decision.hostId;
  const others = decision.refusals.filter(({ hostId }) => hostId !== fromHostId && (toHostId ?? hostId) === hostId);
  throw impossible(others.length > 0 ? describeRefusals(others) : 'there is no other host in its cluster');
}

function impossible(reason: string): KvasirError {
  return new KvasirError('migration-impossible', { reason });
}
