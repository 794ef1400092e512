/**
 * Rehearsals: what would happen if a host died now, decided by the rules of the real thing. Hosts in standby count as what they
 * become: power saving wakes them for VMs that no other host takes, and all of them when the manager suspects itself.
 */
import type { haOperations, HaRehearsal } from '@kvasir/api/resources/ha.ts';
import { type Rehearsal, rehearse } from '@kvasir/control/ha/rehearsal.ts';
import { unableHosts } from '@kvasir/control/ha/restart.ts';
import type { HaSnapshot } from '@kvasir/control/ha/snapshot.ts';
import { placesAfterWaking, wokenInDoubt } from '@kvasir/control/power-saving/rehearse-failure.ts';
import type { PowerPolicy, PowerWorld } from '@kvasir/control/power-saving/world.ts';
import { powerSavingPolicyOf } from '../store/cluster-power-saving.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { placeInThought, requestsFor } from '../tasks/ha-placement.ts';
import { readHaSnapshot } from '../tasks/ha-snapshot.ts';
import { readPowerWorld, sleepersOf } from '../tasks/power-saving-world.ts';
import type { Call, ReadService } from './call.ts';
import { findHost } from './hosts.ts';
import { findVm } from './vms.ts';

export const drillHost: ReadService<typeof haOperations.drill> = async (call, { params }) =>
  rehearsalOf(call, await findHost(call, params.host));

export const explainVm: ReadService<typeof haOperations.explain> = async (call, { params, query }) => {
  const vm = await findVm(call, params.vm, query.project);
  const about = { vmId: vm.id, vmName: vm.name, position: null, hostName: null, after: [] };
  if (vm.hostId === null) return { ...about, because: 'it is on no host', currentHostName: null, proofs: [] };
  const host = await hosts.get(call.db, vm.hostId);
  const { restarts, proofs } = await rehearsalOf(call, host);
  const own = restarts.find(({ vmId }) => vmId === vm.id);
  return { ...about, because: 'its host knows nothing of it', ...own, currentHostName: host.name, proofs };
};

async function rehearsalOf(call: Call, host: HostRow): Promise<HaRehearsal> {
  const { clock, signals } = call.env;
  const manager = { leadingSinceMs: 0, heldUpAtMs: null };
  const seams = { signals, manager, fencings: new Map() };
  const snapshot = await readHaSnapshot(call.db, seams, host.clusterId, [host.id]);
  const sleep = await readSleep(call, host.clusterId);
  const woken = sleep ? wokenInDoubt(sleep.world, sleep.policy, host.id, clock.now()) : [];
  const rehearsal = rehearse(snapshot, host.id, clock.now(), woken);
  const placed = await placesOf(call, host, snapshot, rehearsal, sleep);
  const nameOf = new Map(snapshot.hosts.map(({ id, name }) => [id, name]));
  const proved = rehearsal.proofs.find(({ method, possible }) => possible && method !== 'operator');
  return {
    hostId: host.id,
    hostName: host.name,
    fenced: proved !== undefined,
    proofs: rehearsal.proofs.map((proof) => ({ ...proof })),
    restarts: [
      ...rehearsal.restarts.map(({ vm, after }, index) => {
        const place = placed.get(vm.id);
        const hostName = (place?.hostId && nameOf.get(place.hostId)) || null;
        const because = hostName === null ? `no host takes it: ${place?.because ?? ''}` : (place?.because ?? '');
        return { vmId: vm.id, vmName: vm.name, position: index + 1, hostName, because, after: [...after] };
      }),
      ...rehearsal.left.map(({ vm, because }) => ({
        vmId: vm.id,
        vmName: vm.name,
        position: null,
        hostName: null,
        because,
        after: [],
      })),
    ],
  };
}

interface Sleep {
  readonly world: PowerWorld;
  readonly policy: PowerPolicy;
}

/** Undefined: no host of the cluster sleeps. */
async function readSleep({ db, env }: Call, clusterId: string): Promise<Sleep | undefined> {
  if ((await sleepersOf(db, clusterId)).length === 0) return undefined;
  const world = await readPowerWorld(db, clusterId, env.clock.now());
  return { world, policy: await powerSavingPolicyOf(db, clusterId) };
}

type Places = ReadonlyMap<string, { readonly hostId: string | null; readonly because: string }>;

/** By VM id. */
async function placesOf(
  { db, env }: Call,
  host: HostRow,
  snapshot: HaSnapshot,
  { restarts, inDoubt }: Rehearsal,
  sleep: Sleep | undefined,
): Promise<Places> {
  const vmIds = restarts.map(({ vm }) => vm.id);
  const unfit = snapshot.hosts.filter(
    ({ id, ha, state }) => id === host.id || ha.state !== 'running' || state !== 'up',
  );
  const awake = await placeInThought(
    db,
    env.clock,
    host.clusterId,
    vmIds,
    unfit.map(({ id }) => id),
    ({ id }) => [host.id, ...unableHosts(snapshot, restarts.find(({ vm }) => vm.id === id)?.vm)],
  );
  if (sleep === undefined) return awake;
  const vms = (await requestsFor(db, vmIds)).map(({ vm: { id, name }, request }) => {
    return { name, request, hostId: awake.get(id)?.hostId ?? null };
  });
  const failure = { hostId: host.id, inDoubt, vms };
  return new Map([...awake, ...placesAfterWaking(sleep.world, sleep.policy, failure, env.clock.now())]);
}
