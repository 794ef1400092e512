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
  PlacementRefusal,
  PlacementRequest,
  PlacementWorld,
} from '@kvasir/control/placement/world.ts';
import { describeRefusals, placeVm } from '@kvasir/control/placement/place-vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { sql } from 'kysely';
import { clusters } from '../store/clusters.ts';
import type { Executor } from '../store/database.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { poolHosts, pools } from '../store/pools.ts';
import { vms } from '../store/vms.ts';
import { isOperator } from './access.ts';
import type { Call, Change } from './call.ts';
import { committedOn, isCommitted } from './commitments.ts';

async function readWorld(db: Executor, clusterId: string, request: PlacementRequest): Promise<PlacementWorld> {
  const cluster = await clusters.get(db, clusterId);
  const all = await hostsOf(db, clusterId);
  const sums = await committedOn(
    db,
    all.map(({ id }) => id),
    request.vmId,
  );
  const groups = await groupMembers(db, clusterId, request);
  const reports = await poolHosts.select(db, { poolId: [...request.poolIds], reachable: true });
  const reach = Map.groupBy(reports, ({ hostId }) => hostId);
  return {
    cluster,
    hosts: all.map((host) => ({
      id: host.id,
      name: host.name,
      state: host.state,
      schedulable: host.schedulable === 1,
      cpus: host.cpus,
      memoryMib: host.memoryMib,
      // Seldom asked for, and dear to read of a thousand hosts.
      get cpuModels() {
        return hosts.decode(host).inventory?.usableCpuModels ?? [];
      },
      reachablePoolIds: (reach.get(host.id) ?? []).map(({ poolId }) => poolId),
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
export async function chooseHost(change: Change, clusterId: string, request: PlacementRequest): Promise<string> {
  const decision = await decide(change.tx, clusterId, request);
  if (!decision.ok) throw noHostFits(change, decision.refusals);
  return decision.hostId;
}

/** Tenants see no hosts, so they are told no names and no sizes of them. */
export function noHostFits(call: Pick<Call, 'actor'>, refusals: readonly PlacementRefusal[]): KvasirError {
  const reasons =
    call.actor && isOperator(call.actor)
      ? describeRefusals(refusals)
      : 'there is not enough room, or nothing that its placement groups, pools and CPU model allow';
  return new KvasirError('no-host-fits', { reasons });
}

/** Only what a decision needs, as it is stored: a create must not read a thousand whole rows. */
async function hostsOf(db: Executor, clusterId: string) {
  const columns = ['id', 'name', 'state', 'schedulable', 'cpus', 'memoryMib', 'inventory'] as const;
  const rows = db.selectFrom('hosts').select(columns).where('clusterId', '=', clusterId).orderBy('name');
  return (await rows.execute()).map((row) => ({ ...row, state: row.state as HostRow['state'] }));
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
