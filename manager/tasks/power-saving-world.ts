/** A cluster as power saving sees it. Read in the caller's transaction. */
import { whyStays } from '@kvasir/control/power-saving/plan-power.ts';
import type { LeavingVm, PowerHost, PowerState, PowerWorld, Wanting } from '@kvasir/control/power-saving/world.ts';
import type { PlacementHost } from '@kvasir/control/placement/world.ts';
import { clusterPowerSaving, powerSavingPolicyOf } from '../store/cluster-power-saving.ts';
import type { Executor } from '../store/database.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { haIncidents, haRestarts } from '../store/ha-incidents.ts';
import { clusterHa, haPolicyOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hostPowerChecks, hostStandby, type HostStandbyRow } from '../store/host-standby.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { countOnlyCopies } from '../store/images.ts';
import { routers } from '../store/routers.ts';
import { openTaskStates, taskIdsByTarget, type TaskRow, tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { admissionPolicy, readAdmissionHosts, readProtected } from './admission-world.ts';
import type { CapacityWish } from './capacity-wishes.ts';
import { requestsFor } from './ha-placement.ts';

/** Hosts whose VMs are looked at one by one; the emptiest first. */
const mostLookedInto = 8;
/** After a try to switch a host off or to wake it went wrong. */
export const restAfterFailureMs = 600_000;
/** A device that answered longer ago has to be asked again first. */
export const checkedWithinMs = 1_200_000;

export async function readPowerWorld(
  db: Executor,
  clusterId: string,
  now: number,
  wishes: readonly CapacityWish[] = [],
): Promise<PowerWorld> {
  const { cluster, hosts: placements, vmIds } = await readAdmissionHosts(db, clusterId);
  const ha = await haPolicyOf(db, clusterId);
  const spare = ha.admission !== 'off' && ha.admissionBy === 'spare-hosts' ? ha.admissionSpareHosts : [];
  const admission =
    ha.admission === 'off' ? null : { policy: admissionPolicy(ha), protectedVms: await readProtected(db, vmIds) };
  const ids = placements.map(({ id }) => id);
  const standby = new Map((await hostStandby.select(db, { hostId: ids })).map((row) => [row.hostId, row]));
  const haStates = new Map((await hostHa.select(db, { hostId: ids })).map(({ hostId, state }) => [hostId, state]));
  const out = new Set((await hostMaintenance.select(db, { hostId: ids })).map(({ hostId }) => hostId));
  const since = (await clusterPowerSaving.find(db, { clusterId }))?.dispensable ?? {};
  const powerOf = ({ id, name, state, schedulable }: PlacementHost): PowerState => {
    const row = standby.get(id);
    if (row !== undefined) return row.phase;
    const well = state === 'up' && schedulable && (haStates.get(id) ?? 'running') === 'running';
    return well && !out.has(id) && !spare.includes(name) ? 'on' : 'out';
  };
  const load = ({ vms: there }: PlacementHost): number => there.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
  const known = await readAround(db, ids, now);
  const emptiest = placements
    .filter((host) => powerOf(host) === 'on' && known.stays(host.id) === null)
    .toSorted((a, b) => load(a) - load(b))
    .slice(0, mostLookedInto)
    .map(({ id }) => id);
  const inside = await readInside(db, emptiest);
  return {
    cluster,
    admission,
    unsettled: await unsettled(db, clusterId),
    managerInDoubt: await inDoubt(db, clusterId),
    wanting: [...(await withoutRoom(db, clusterId)), ...wishes.map((wish) => ({ ...wish, afterFailure: false }))],
    hosts: placements.map((placement): PowerHost => {
      const { id } = placement;
      const row = standby.get(id);
      const lookedInto = inside.get(id);
      return {
        placement,
        power: powerOf(placement),
        stays: known.stays(id) ?? (lookedInto === undefined ? 'others carry less' : lookedInto.stays),
        leaving: lookedInto?.leaving ?? [],
        dispensableSinceMs: since[id] ?? null,
        notBeforeMs: row?.phase === 'failed' ? row.since + restAfterFailureMs : known.notBeforeMs(id),
        byPolicy: row?.byPolicy ?? false,
      };
    }),
  };
}

/** Why this host, empty and closed by now, is needed all the same. */
export async function reasonToStayOn(db: Executor, host: HostRow, now: number): Promise<string | undefined> {
  const world = await readPowerWorld(db, host.clusterId, now);
  const open = (each: PowerHost): PowerHost => ({
    ...each,
    ...{ power: 'on', stays: null, notBeforeMs: 0, leaving: [] },
    placement: { ...each.placement, schedulable: true },
  });
  const hostsThen = world.hosts.map((each) => (each.placement.id === host.id ? open(each) : each));
  const then = { ...world, unsettled: null, hosts: hostsThen };
  const own = hostsThen.find(({ placement }) => placement.id === host.id)!;
  return whyStays(own, then, await powerSavingPolicyOf(db, host.clusterId), now);
}

export async function openTasks(db: Executor): Promise<TaskRow[]> {
  return await tasks.select(db, { state: openTaskStates });
}

/** One of them that names the host: it would fail with it. */
export function worksOn(open: readonly TaskRow[], hostId: string): TaskRow | undefined {
  return open.find(({ params }) => JSON.stringify(params).includes(hostId));
}

/** What keeps hosts on whatever their VMs. */
async function readAround(db: Executor, hostIds: readonly string[], now: number) {
  const withDevice = new Set((await fenceDevices.select(db, { hostId: hostIds })).map(({ hostId }) => hostId));
  const checks = new Map((await hostPowerChecks.select(db, { hostId: hostIds })).map((row) => [row.hostId, row]));
  const locals = new Set((await volumes.select(db, { hostId: hostIds })).map(({ hostId }) => hostId));
  const gateways = new Map(
    (await routers.select(db, { gatewayHostId: hostIds })).map((row) => [row.gatewayHostId, row]),
  );
  const open = await openTasks(db);
  const tried = await tasks.select(db, { kind: 'host-standby', targetId: hostIds, state: 'failed' });
  const failedAt = new Map<string, number>();
  for (const { targetId, finishedAt } of tried)
    failedAt.set(targetId, Math.max(finishedAt ?? 0, failedAt.get(targetId) ?? 0));
  const device = (hostId: string): string | null => {
    const check = checks.get(hostId);
    if (!withDevice.has(hostId)) return 'it has no power device';
    if (check === undefined || now - check.at > checkedWithinMs) return 'its power device has not been asked lately';
    return check.error === null ? null : `its power device does not work: ${check.error}`;
  };
  return {
    stays: (hostId: string): string | null => {
      const task = worksOn(open, hostId);
      if (task !== undefined) return `the task ${task.kind} of ${task.targetName} needs it`;
      if (locals.has(hostId)) return 'volumes lie in a local pool of it';
      const router = gateways.get(hostId);
      return router === undefined ? device(hostId) : `router ${router.name} leads out by it`;
    },
    notBeforeMs: (hostId: string): number => {
      const at = failedAt.get(hostId);
      return at === undefined ? 0 : at + restAfterFailureMs;
    },
  };
}

/** The VMs of each of these hosts, and what of them cannot leave. */
async function readInside(db: Executor, hostIds: readonly string[]) {
  const rows = hostIds.length === 0 ? [] : await vms.select(db, { hostId: hostIds }, 'name');
  const busy = await taskIdsByTarget(
    db,
    rows.map(({ id }) => id),
  );
  const requests = await requestsFor(
    db,
    rows.map(({ id }) => id),
  );
  const inside = new Map<string, { readonly stays: string | null; readonly leaving: readonly LeavingVm[] }>();
  for (const hostId of hostIds) {
    const here = requests.filter(({ vm }) => vm.hostId === hostId);
    const stuck = here.find(({ vm }) => busy.has(vm.id) || !['running', 'paused', 'stopped'].includes(vm.state));
    const copies = await countOnlyCopies(db, { hostId });
    const only = copies === 0 ? null : `${copies} image(s) lie nowhere else`;
    inside.set(hostId, {
      stays:
        stuck === undefined ? only : `${stuck.vm.name} is ${busy.has(stuck.vm.id) ? 'busy' : stuck.vm.state} there`,
      leaving: here.map(({ vm, request }) => ({
        name: vm.name,
        request: { ...request, excludeHostIds: [hostId] },
        committed: vm.state !== 'stopped',
      })),
    });
  }
  return inside;
}

async function inDoubt(db: Executor, clusterId: string): Promise<boolean> {
  return (await clusterHa.find(db, { clusterId }))?.suspectsItself === true;
}

async function unsettled(db: Executor, clusterId: string): Promise<string | null> {
  if (await inDoubt(db, clusterId)) return 'so many hosts are silent that the manager may be the one that is cut off';
  if ((await haIncidents.count(db, { clusterId, closedAt: null })) > 0) return 'an incident is open in the cluster';
  const moving = await db
    .selectFrom('vms')
    .select('name')
    .where('clusterId', '=', clusterId)
    .where('reservedHostId', 'is not', null)
    .limit(1)
    .executeTakeFirst();
  return moving === undefined ? null : `${moving.name} is on its way to another host`;
}

/** VMs of failed hosts that no host takes, as high availability wrote down. */
async function withoutRoom(db: Executor, clusterId: string): Promise<Wanting[]> {
  const waiting = (await haRestarts.select(db, { endedAt: null })).filter(
    ({ toHostId, reason }) => toHostId === null && reason?.startsWith(noRoom) === true,
  );
  if (waiting.length === 0) return [];
  const requests = await requestsFor(
    db,
    waiting.map(({ vmId }) => vmId),
  );
  const own = requests.filter(({ vm }) => vm.clusterId === clusterId);
  return own.map(({ vm, request }) => {
    const leftHostIds = vm.hostId === null ? [] : [vm.hostId];
    return { name: vm.name, request: { ...request, leftHostIds }, afterFailure: true };
  });
}

/** How a restart that found no room begins to say so. */
export const noRoom = 'no host takes it';

/** Hosts of a cluster that are in standby or on their way there or back. */
export async function sleepersOf(
  db: Executor,
  clusterId: string,
): Promise<readonly (HostStandbyRow & { host: HostRow })[]> {
  const rows = new Map((await hostStandby.select(db)).map((row) => [row.hostId, row]));
  const found = await hosts.select(db, { clusterId, id: [...rows.keys()] });
  return found.map((host) => ({ ...rows.get(host.id)!, host }));
}
