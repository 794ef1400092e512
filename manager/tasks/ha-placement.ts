/**
 * Hosts for many VMs at once, in the transaction that writes them down: the cluster is read once, and each decision is made on
 * what those before it left. VMs with groups take the longer way, for their groups have to be looked up.
 */
import { describeRefusals, placeVm } from '@kvasir/control/placement/place-vm.ts';
import type { CommittedVm, PlacementDecision, PlacementRequest } from '@kvasir/control/placement/world.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { ownPromise } from '../store/commitments.ts';
import type { Executor, Tx } from '../store/database.ts';
import { ports } from '../store/networks.ts';
import { hostsWithoutUplink } from '../store/switches.ts';
import { functionsNeeded } from '../store/virtual-functions.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { decidePlacement, groupMembers, promise, worldOf } from './vm-placement.ts';

export interface PlacedVm {
  readonly vm: VmRow;
  /** Null: no host takes it. */
  readonly hostId: string | null;
  readonly because: string;
}

/** Excluded for a VM when no host takes it otherwise: fewer. */
export type LastResort = (vm: VmRow) => readonly string[];

export interface ManyOptions {
  readonly excludeHostIds: readonly string[];
  readonly lastResort: LastResort;
  /** The host where a VM is defined, when that is to be preferred: nothing has to move. */
  readonly stayAt: (vm: VmRow) => string | undefined;
  /** A host that it only gets when no other takes it: it was tried there in vain. */
  readonly avoid?: (vm: VmRow) => string | undefined;
}

/** In the order of the ids, each with its `reservedHostId` written; ids of VMs that are gone are left out. */
export async function placeMany(
  tx: Tx,
  snapshots: ClusterSnapshots,
  clusterId: string,
  vmIds: readonly string[],
  { excludeHostIds, lastResort, stayAt, avoid }: ManyOptions,
): Promise<PlacedVm[]> {
  const requests = await requestsFor(tx, vmIds);
  let snapshot = await snapshots.read(tx, clusterId);
  const placed: PlacedVm[] = [];
  let written = 0;
  const write = async (): Promise<void> => {
    await reserve(tx, placed.slice(written));
    written = placed.length;
  };
  for (const { vm, request: found } of requests) {
    // Where it cannot start its group cannot be joined.
    const request = { ...found, leftHostIds: lastResort(vm) };
    const grouped = vm.affinity.length > 0 || vm.antiAffinity.length > 0;
    // That decision reads the database, so all before it has to be there.
    if (grouped) await write();
    const mayStay = vm.hostId !== null && !lastResort(vm).includes(vm.hostId);
    const promised = mayStay && !grouped ? await ownPromise(tx, vm.id) : undefined;
    const decideOne = async (asked: PlacementRequest): Promise<PlacementDecision> => {
      if (grouped) return await decidePlacement(snapshots, tx, clusterId, asked);
      const decision = placeVm(asked, worldOf(snapshot, asked, { own: promised, members: [] }));
      if (decision.ok) promise(snapshot, decision.hostId, asked, promised);
      return decision;
    };
    const own = stayAt(vm);
    const stays = own === undefined ? undefined : await decideOne({ ...request, hostId: own, residentHostId: own });
    const avoided = avoid?.(vm);
    const elsewhere =
      stays?.ok || avoided === undefined
        ? undefined
        : await decideOne({ ...request, excludeHostIds: both(request, [...excludeHostIds, avoided]) });
    const taken = [stays, elsewhere].find((each) => each?.ok === true);
    const without = async (hostIds: readonly string[]): Promise<PlacementDecision> =>
      await decideOne({ ...request, excludeHostIds: both(request, hostIds) });
    const anywhere = taken ?? (await without(excludeHostIds));
    const decision = anywhere.ok ? anywhere : await without(lastResort(vm));
    const because = decision.ok ? decision.because : describeRefusals(decision.refusals);
    placed.push({ vm, hostId: decision.ok ? decision.hostId : null, because });
    if (grouped) {
      await write();
      snapshot = await snapshots.read(tx, clusterId);
    }
  }
  await write();
  return placed;
}

/** Where they would go, one after the other, without promising anything. Groups count among what runs and what was placed. */
export async function placeInThought(
  db: Executor,
  clock: Clock,
  clusterId: string,
  vmIds: readonly string[],
  excludeHostIds: readonly string[],
  lastResort: LastResort,
): Promise<ReadonlyMap<string, { readonly hostId: string | null; readonly because: string }>> {
  const snapshot = await new ClusterSnapshots(clock).read(db, clusterId);
  const single = new Map<string, CommittedVm[]>();
  const add = (hostId: string, vm: CommittedVm): void => void single.set(hostId, [...(single.get(hostId) ?? []), vm]);
  const requests = await requestsFor(db, vmIds);
  for (const { request } of requests) {
    for (const { vm, hostIds } of await groupMembers(db, clusterId, request)) {
      for (const hostId of hostIds) if (hostId !== null && !vmIds.includes(vm.id)) add(hostId, vm);
    }
  }
  const nothing = { cpus: 0, memoryMib: 0 };
  const places = new Map<string, { readonly hostId: string | null; readonly because: string }>();
  for (const { vm, request } of requests) {
    const hosts = snapshot.hosts.map((host) => host.withPromised(nothing, single.get(host.id) ?? []));
    const without = (hostIds: readonly string[]): PlacementDecision =>
      placeVm(
        { ...request, excludeHostIds: both(request, hostIds), leftHostIds: lastResort(vm) },
        { cluster: snapshot.cluster, hosts },
      );
    const best = without(excludeHostIds);
    const decision = best.ok ? best : without(lastResort(vm));
    const because = decision.ok ? decision.because : describeRefusals(decision.refusals);
    places.set(vm.id, { hostId: decision.ok ? decision.hostId : null, because });
    if (!decision.ok) continue;
    snapshot.promise(decision.hostId, request);
    add(decision.hostId, { ...nothing, id: vm.id, ...groupsOf(request) });
  }
  return places;
}

function both({ excludeHostIds = [] }: PlacementRequest, more: readonly string[]): readonly string[] {
  return [...excludeHostIds, ...more];
}

function groupsOf({ projectId, affinity, antiAffinity }: PlacementRequest) {
  return { projectId, affinity, antiAffinity };
}

async function reserve(tx: Tx, placed: readonly PlacedVm[]): Promise<void> {
  for (const [hostId, some] of Map.groupBy(placed, ({ hostId }) => hostId)) {
    if (hostId !== null) await vms.set(tx, { id: some.map(({ vm }) => vm.id) }, { reservedHostId: hostId });
  }
}

export async function requestsFor(
  db: Executor,
  vmIds: readonly string[],
): Promise<{ readonly vm: VmRow; readonly request: PlacementRequest }[]> {
  const rows = new Map((await vms.select(db, { id: vmIds })).map((row) => [row.id, row]));
  const disks = Map.groupBy(await vmDisks.select(db, { vmId: vmIds }), ({ vmId }) => vmId);
  const volumeIds = [...disks.values()].flat().map(({ volumeId }) => volumeId);
  const volumeOf = new Map((await volumes.select(db, { id: volumeIds })).map((row) => [row.id, row]));
  const networksOf = Map.groupBy(await ports.select(db, { vmId: vmIds }), ({ vmId }) => vmId);
  const unlinked = new Map<string, PlacementRequest['unlinkedHosts']>();
  const requests: { readonly vm: VmRow; readonly request: PlacementRequest }[] = [];
  for (const id of vmIds) {
    const vm = rows.get(id);
    if (vm === undefined) continue;
    const networkIds = [...new Set((networksOf.get(id) ?? []).map(({ networkId }) => networkId))].sort();
    const key = networkIds.join();
    if (!unlinked.has(key)) unlinked.set(key, await hostsWithoutUplink(db, networkIds));
    const used = (disks.get(id) ?? []).flatMap(({ volumeId }) => volumeOf.get(volumeId) ?? []);
    const request: PlacementRequest = {
      vmId: id,
      projectId: vm.projectId,
      cpus: vm.cpus,
      memoryMib: vm.memoryMib,
      cpuModel: vm.cpuModel,
      poolIds: [...new Set(used.map(({ poolId }) => poolId))],
      volumeHostIds: used.flatMap(({ hostId }) => hostId ?? []),
      networkIds: [],
      unlinkedHosts: unlinked.get(key),
      virtualFunctions: await functionsNeeded(
        db,
        id,
        (networksOf.get(id) ?? []).flatMap(({ vnicType, networkId }) => (vnicType === 'direct' ? [networkId] : [])),
      ),
      affinity: vm.affinity,
      antiAffinity: vm.antiAffinity,
    };
    requests.push({ vm, request });
  }
  return requests;
}
