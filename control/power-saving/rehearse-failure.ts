/**
 * What becomes of hosts that sleep when a host dies, without anything happening: which of them the plan of power saving would wake,
 * and which VMs they would take. Pure.
 */
import { placeVm } from '../placement/place-vm.ts';
import type { PlacementRequest } from '../placement/world.ts';
import { planPower } from './plan-power.ts';
import { roomNow, roomWith } from './room.ts';
import type { PowerPolicy, PowerWorld } from './world.ts';

export interface FailureInThought {
  /** The host that dies. */
  readonly hostId: string;
  /** So many hosts are silent then that the manager suspects itself at first: all that sleep are woken before VMs are placed. */
  readonly inDoubt: boolean;
  /** What is to be restarted, in order, with the host that takes it now; null: none that is awake does. */
  readonly vms: readonly {
    readonly name: string;
    readonly request: PlacementRequest;
    readonly hostId: string | null;
  }[];
}

export interface PlaceInThought {
  readonly hostId: string;
  readonly because: string;
}

/** Where VMs go, by id, because hosts are woken or are on their way back; what stays as it would be without them is left out. */
export function placesAfterWaking(
  world: PowerWorld,
  policy: PowerPolicy,
  { hostId: deadId, inDoubt, vms }: FailureInThought,
  now: number,
): ReadonlyMap<string, PlaceInThought> {
  const settled = inDoubt ? [] : vms.filter(({ hostId }) => hostId !== null);
  const open = inDoubt ? vms : vms.filter(({ hostId }) => hostId === null);
  const homeless = open.map(({ name, request }) => ({
    name,
    request: { ...request, leftHostIds: [deadId] },
    afterFailure: true,
  }));
  const hosts = without(world, deadId).map((host) => {
    const taken = settled.filter(({ hostId }) => hostId === host.placement.id);
    const more = taken.map(({ request: { vmId: id, ...rest } }) => ({ id, ...rest }));
    return { ...host, placement: { ...host.placement, vms: [...host.placement.vms, ...more] } };
  });
  const then = { ...world, managerInDoubt: inDoubt, wanting: [...world.wanting, ...homeless], hosts };
  const woken = wakes(then, policy, now);
  const coming = new Set([...waking(then), ...woken.keys()]);
  const places = new Map<string, PlaceInThought>();
  if (coming.size === 0) return places;
  let room = roomNow(then, coming);
  for (const vm of then.wanting) {
    const decision = placeVm(vm.request, { cluster: world.cluster, hosts: room.hosts });
    if (!decision.ok) continue;
    const { hostId, because } = decision;
    room = roomWith(then, room, { ...vm, request: { ...vm.request, hostId } }) ?? room;
    places.set(vm.request.vmId, { hostId, because: woken.get(hostId) ?? because });
  }
  return places;
}

/** Hosts that sleep and would be heard again, because the manager suspects itself when this host dies. */
export function wokenInDoubt(world: PowerWorld, policy: PowerPolicy, deadId: string, now: number): readonly string[] {
  const then = { ...world, managerInDoubt: true, wanting: [], hosts: without(world, deadId) };
  return [...waking(then), ...wakes(then, policy, now).keys()];
}

function without({ hosts }: PowerWorld, deadId: string): PowerWorld['hosts'] {
  return hosts.map((host) => (host.placement.id === deadId ? { ...host, power: 'out' } : host));
}

/** By host id: why. */
function wakes(world: PowerWorld, policy: PowerPolicy, now: number): ReadonlyMap<string, string> {
  const actions = planPower(world, policy, now);
  return new Map(
    actions.flatMap((action) =>
      action.kind === 'wake' && action.afterFailure ? [[action.hostId, action.because] as const] : [],
    ),
  );
}

function waking({ hosts }: PowerWorld): readonly string[] {
  return hosts.filter(({ power }) => power === 'waking').map(({ placement }) => placement.id);
}
