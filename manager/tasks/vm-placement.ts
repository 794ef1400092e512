/**
 * Where a VM goes, in the transaction that writes it down: for requests and for controllers.
 *
 * The choice is made on a snapshot of the cluster (`store/cluster-snapshots.ts`); then the chosen host alone is read anew and
 * must still take the VM. Since the store lets one writer in at a time, no two decisions ever promise the same capacity. When
 * the host does not take it any more, or when no host seems to, the whole cluster is read anew and decides.
 */
import { reasonsAgainst } from '@kvasir/control/placement/fit.ts';
import { placeVm } from '@kvasir/control/placement/place-vm.ts';
import type {
  CommittedVm,
  PlacementDecision,
  PlacementRequest,
  PlacementWorld,
} from '@kvasir/control/placement/world.ts';
import { sql } from 'kysely';
import type { ClusterSnapshot, ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { isCommitted, type OwnPromise, ownPromise } from '../store/commitments.ts';
import type { Executor, Tx } from '../store/database.ts';
import { networks } from '../store/networks.ts';
import { pools } from '../store/pools.ts';
import { hostsWithoutUplink } from '../store/switches.ts';
import { vms } from '../store/vms.ts';

/** Refusals call pools by their names, and are exact when the VM is refused. @throws not-found without such a cluster */
export async function decidePlacement(
  snapshots: ClusterSnapshots,
  tx: Tx,
  clusterId: string,
  asked: PlacementRequest,
): Promise<PlacementDecision> {
  // Every host has every network, but for those of a switch that it has no uplink of.
  const unlinkedHosts = { ...asked.unlinkedHosts, ...(await hostsWithoutUplink(tx, asked.networkIds)) };
  const request = { ...asked, networkIds: [], unlinkedHosts };
  const around = { own: await ownPromise(tx, request.vmId), members: await groupMembers(tx, clusterId, request) };
  // Where a host is asked for there is nothing to choose, and a snapshot of any age will do.
  const young = await snapshots.of(tx, clusterId, { anyAge: request.hostId !== undefined });
  const choice = placeVm(request, worldOf(young, request, around));
  if (choice.ok && (await stillTakes(young, tx, choice.hostId, request, around))) {
    promise(young, choice.hostId, request, around.own);
    return choice;
  }
  const read = await snapshots.read(tx, clusterId);
  const decision = placeVm({ ...request, names: await namesOf(tx, asked) }, worldOf(read, request, around));
  if (decision.ok) promise(read, decision.hostId, request, around.own);
  return decision;
}

/** What a snapshot lacks: read in the transaction, so it is exact. */
interface Around {
  /** The VM's own part of what is promised: it does not stand in its own way. */
  readonly own: OwnPromise | undefined;
  /** Committed members of the request's groups, with the hosts where they count. */
  readonly members: readonly Member[];
}

export interface Member {
  readonly vm: CommittedVm;
  readonly hostIds: readonly (string | null)[];
}

async function stillTakes(
  snapshot: ClusterSnapshot,
  tx: Tx,
  hostId: string,
  request: PlacementRequest,
  around: Around,
): Promise<boolean> {
  if (!(await snapshot.refresh(tx, hostId))) return false;
  const world = worldOf(snapshot, request, around);
  const host = world.hosts.find(({ id }) => id === hostId);
  return host !== undefined && reasonsAgainst(host, request, world).length === 0;
}

/** As the VM finds it: what it has promised to itself is free for it. */
export function worldOf(
  snapshot: ClusterSnapshot,
  { vmId, projectId }: Pick<PlacementRequest, 'vmId' | 'projectId'>,
  { own, members }: Around,
): PlacementWorld {
  if (own === undefined && members.length === 0) return snapshot;
  const itself = own && { vm: { ...own, id: vmId, projectId, affinity: [], antiAffinity: [] }, hostIds: own.hostIds };
  const present: readonly Member[] = itself ? [itself, ...members] : members;
  const hosts = snapshot.hosts.map((host) => {
    const here = present.filter(({ hostIds }) => hostIds.includes(host.id));
    if (here.length === 0) return host;
    const less = own?.hostIds.includes(host.id)
      ? { cpus: -own.cpus, memoryMib: -own.memoryMib }
      : { cpus: 0, memoryMib: 0 };
    return host.withPromised(
      less,
      here.map(({ vm }) => vm),
    );
  });
  return { cluster: snapshot.cluster, hosts };
}

/** A VM that grows where it is promises no more than the difference. */
export function promise(
  snapshot: ClusterSnapshot,
  hostId: string,
  { cpus, memoryMib }: Pick<PlacementRequest, 'cpus' | 'memoryMib'>,
  own: OwnPromise | undefined,
): void {
  const had = own?.hostIds.includes(hostId) ? own : { cpus: 0, memoryMib: 0 };
  snapshot.promise(hostId, { cpus: cpus - had.cpus, memoryMib: memoryMib - had.memoryMib });
}

/** Members of groups of the request's project, without sizes: those are in the sums already. */
export async function groupMembers(tx: Executor, clusterId: string, request: PlacementRequest): Promise<Member[]> {
  if (request.affinity.length === 0 && request.antiAffinity.length === 0) return [];
  const { projectId, vmId } = request;
  const rows = await tx
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

async function namesOf(tx: Tx, request: PlacementRequest): Promise<Record<string, string>> {
  const rows = [
    ...(await pools.select(tx, { id: [...request.poolIds] })),
    ...(await networks.select(tx, { id: [...request.networkIds] })),
  ];
  return Object.fromEntries(rows.map(({ id, name }) => [id, name]));
}
