/**
 * Reads the world that placement decides on, in the transaction that commits the decision: the store lets one writer in at a
 * time, so no two creates ever see the same free capacity.
 *
 * What is promised on a host comes as one sum; single VMs are read only where the request's groups concern them, since a
 * cluster may hold twenty thousand.
 */
import type {
  CommittedVm,
  PlacementDecision,
  PlacementRequest,
  PlacementWorld,
} from '@kvasir/control/placement/world.ts';
import { describeRefusals, placeVm } from '@kvasir/control/placement/place-vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { sql } from 'kysely';
import { clusters } from '../store/clusters.ts';
import type { Executor } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { poolHosts, pools } from '../store/pools.ts';
import { vms } from '../store/vms.ts';
import { committedOn, isCommitted } from './commitments.ts';

async function readWorld(db: Executor, clusterId: string, request: PlacementRequest): Promise<PlacementWorld> {
  const cluster = await clusters.get(db, clusterId);
  const all = await hosts.select(db, { clusterId }, 'name');
  const sums = await committedOn(
    db,
    all.map(({ id }) => id),
    request.vmId,
  );
  const groups = await groupMembers(db, clusterId, request);
  const reach = await poolHosts.select(db, { poolId: [...request.poolIds], reachable: true });
  return {
    cluster,
    hosts: all.map((host) => ({
      id: host.id,
      name: host.name,
      state: host.state,
      schedulable: host.schedulable,
      cpus: host.cpus,
      memoryMib: host.memoryMib,
      cpuModels: host.inventory?.usableCpuModels ?? [],
      reachablePoolIds: reach.filter(({ hostId }) => hostId === host.id).map(({ poolId }) => poolId),
      networkIds: request.networkIds,
      vms: [
        ...groups.filter(({ hostIds }) => hostIds.includes(host.id)).map(({ vm }) => vm),
        { ...anonymous, ...sums.get(host.id) },
      ],
    })),
  };
}

/** What placement says, with reasons that call things by their names. */
export async function decide(db: Executor, clusterId: string, request: PlacementRequest): Promise<PlacementDecision> {
  const names = await namesOf(db, request);
  return placeVm({ ...request, names }, await readWorld(db, clusterId, request));
}

/** The host that takes the VM. @throws no-host-fits with every host's reasons */
export async function chooseHost(db: Executor, clusterId: string, request: PlacementRequest): Promise<string> {
  const decision = await decide(db, clusterId, request);
  if (!decision.ok) throw new KvasirError('no-host-fits', { reasons: describeRefusals(decision.refusals) });
  return decision.hostId;
}

/** Stands for everything that is promised on a host; it belongs to no project, so that no group sees it. */
const anonymous: CommittedVm = { id: '', projectId: '', cpus: 0, memoryMib: 0, affinity: [], antiAffinity: [] };

/** Members of groups of the request's project. Their sizes are in the sums already. */
async function groupMembers(db: Executor, clusterId: string, request: PlacementRequest) {
  if (request.affinity.length === 0 && request.antiAffinity.length === 0) return [];
  const { projectId, vmId } = request;
  const rows = await db
    .selectFrom('vms')
    .selectAll()
    .where('clusterId', '=', clusterId)
    .where('projectId', '=', projectId)
    .where('id', '<>', vmId)
    .where(sql<boolean>`(affinity <> '[]' or anti_affinity <> '[]')`)
    .where(isCommitted)
    .execute();
  return rows.map((stored) => {
    const { id, affinity, antiAffinity, hostId, reservedHostId } = vms.decode(stored);
    return { vm: { id, projectId, cpus: 0, memoryMib: 0, affinity, antiAffinity }, hostIds: [hostId, reservedHostId] };
  });
}

async function namesOf(db: Executor, request: PlacementRequest): Promise<Record<string, string>> {
  const rows = [
    ...(await pools.select(db, { id: [...request.poolIds] })),
    ...(await networks.select(db, { id: [...request.networkIds] })),
  ];
  return Object.fromEntries(rows.map(({ id, name }) => [id, name]));
}
