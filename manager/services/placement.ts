/** Placement for requests: `tasks/vm-placement.ts` decides, and here a refusal is put into words that the actor may read. */
import { describeRefusals } from '@kvasir/control/placement/place-vm.ts';
import type { PlacementDecision, PlacementRefusal, PlacementRequest } from '@kvasir/control/placement/world.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { haPolicyOf } from '../store/ha-settings.ts';
import { hostStandby } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { decidePlacement } from '../tasks/vm-placement.ts';
import { isOperator } from './access.ts';
import type { Call, Change } from './call.ts';

/** What placement says. The change that asks must write what it takes. */
export async function decide(change: Change, clusterId: string, request: PlacementRequest): Promise<PlacementDecision> {
  const spare = (await spareHostIds(change.tx, clusterId)).filter(
    (id) => id !== request.hostId && id !== request.residentHostId,
  );
  const asked =
    spare.length === 0 ? request : { ...request, excludeHostIds: [...(request.excludeHostIds ?? []), ...spare] };
  return await decidePlacement(change.env.clusterSnapshots, change.tx, clusterId, asked);
}

/** Hosts that are kept empty for VMs of failed ones. */
async function spareHostIds(db: Executor, clusterId: string): Promise<string[]> {
  const { admission, admissionBy, admissionSpareHosts } = await haPolicyOf(db, clusterId);
  if (admission === 'off' || admissionBy !== 'spare-hosts' || admissionSpareHosts.length === 0) return [];
  return (await hosts.select(db, { clusterId, name: admissionSpareHosts })).map(({ id }) => id);
}

/** The host that takes the VM. @throws no-host-fits with every host's reasons */
export async function chooseHost(change: Change, clusterId: string, request: PlacementRequest): Promise<string> {
  const decision = await decide(change, clusterId, request);
  if (!decision.ok) {
    const { cpus, memoryMib, excludeHostIds = [] } = request;
    const name = `a VM of ${cpus} CPU(s) and ${memoryMib} MiB`;
    const asleep = new Set((await hostStandby.select(change.tx)).map(({ hostId }) => hostId));
    const awake = excludeHostIds.filter((id) => !asleep.has(id));
    change.env.wishes.note(clusterId, { name, request: { ...request, networkIds: [], excludeHostIds: awake } });
    throw noHostFits(change, decision.refusals);
  }
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
