/** The host for a VM that no host takes which is on: one that sleeps, or is on its way back. Pure. */
import { byCodePoint } from '../placement/fit.ts';
import { placeVm } from '../placement/place-vm.ts';
import type { PlacementRequest } from '../placement/world.ts';
import { roomNow } from './room.ts';
import type { PowerHost, PowerWorld } from './world.ts';

/** One that is on its way back already rather than another; undefined: none of them would take it either. */
export function hostToWaitFor(
  world: PowerWorld,
  request: PlacementRequest,
  mayTake: (host: PowerHost) => boolean = () => true,
): PowerHost | undefined {
  return world.hosts
    .filter((host) => (host.power === 'waking' || host.power === 'standby') && mayTake(host))
    .toSorted(
      (a, b) =>
        Number(a.power === 'standby') - Number(b.power === 'standby') ||
        byCodePoint(a.placement.name, b.placement.name),
    )
    .find(({ placement: { id } }) => {
      if (request.hostId !== undefined && request.hostId !== id) return false;
      const { hosts } = roomNow(world, new Set([id]));
      return placeVm({ ...request, hostId: id }, { cluster: world.cluster, hosts }).ok;
    });
}
