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
import { adviceAbout, type Sleeper, sleeperFor, wakeFor } from './sleeping-hosts.ts';
import type { Call, Change } from './call.ts';

/** What placement says. The change that asks must write what it takes. */
export async function decide(change: Change, clusterId: string, request: PlacementRequest): Promise<PlacementDecision> {
  const asked = await withoutSpare(change.tx, clusterId, request);
  return await decidePlacement(change.env.clusterSnapshots, change.tx, clusterId, asked);
}

async function withoutSpare(db: Executor, clusterId: string, request: PlacementRequest): Promise<PlacementRequest> {
  const spare = (await spareHostIds(db, clusterId)).filter(
    (id) => id !== request.hostId && id !== request.residentHostId,
  );
  return spare.length === 0 ? request : { ...request, excludeHostIds: [...(request.excludeHostIds ?? []), ...spare] };
}

/** Hosts that are kept empty for VMs of failed ones. */
async function spareHostIds(db: Executor, clusterId: string): Promise<string[]> {
  const { admission, admissionBy, admissionSpareHosts } = await haPolicyOf(db, clusterId);
  if (admission === 'off' || admissionBy !== 'spare-hosts' || admissionSpareHosts.length === 0) return [];
  return (await hosts.select(db, { clusterId, name: admissionSpareHosts })).map(({ id }) => id);
}

/**
 * The host that takes the VM. Where only a host in standby would, power saving hears of it and may wake that one.
 * @throws no-host-fits with every host's reasons
 */
export async function chooseHost(change: Change, clusterId: string, request: PlacementRequest): Promise<string> {
  const decision = await decide(change, clusterId, request);
  if (decision.ok) return decision.hostId;
  const { cpus, memoryMib, excludeHostIds = [] } = request;
  const name = `a VM of ${cpus} CPU(s) and ${memoryMib} MiB`;
  const asleep = new Set((await hostStandby.select(change.tx)).map(({ hostId }) => hostId));
  const awake = excludeHostIds.filter((id) => !asleep.has(id));
  const wished = { ...request, networkIds: [], excludeHostIds: awake };
  change.env.wishes.note(clusterId, { name, request: wished });
  const sleeper = await sleeperFor(change, clusterId, { ...wished, networkIds: request.networkIds });
  throw noHostFits(change, decision.refusals, sleeper);
}

export interface Choice {
  readonly hostId: string;
  /** It is being woken; until then the VM waits. */
  readonly sleeps: boolean;
}

/**
 * As `chooseHost`; in a cluster that saves power by itself also a host in standby, which is woken for it.
 * @throws no-host-fits
 */
export async function chooseHostOrWakeOne(
  change: Change,
  clusterId: string,
  vmName: string,
  request: PlacementRequest,
): Promise<Choice> {
  const decision = await decide(change, clusterId, request);
  if (decision.ok) return { hostId: decision.hostId, sleeps: false };
  const sleeper = await sleeperFor(change, clusterId, await withoutSpare(change.tx, clusterId, request));
  if (sleeper?.automatic !== true) throw noHostFits(change, decision.refusals, sleeper);
  await wakeFor(change, sleeper, vmName);
  return { hostId: sleeper.host.id, sleeps: true };
}

/** Tenants see no hosts, so they are told no names and no sizes of them. */
export function noHostFits(
  call: Pick<Call, 'actor'>,
  refusals: readonly PlacementRefusal[],
  sleeper?: Sleeper,
): KvasirError {
  const seesHosts = call.actor !== undefined && isOperator(call.actor);
  const reasons = seesHosts
    ? describeRefusals(refusals)
    : 'there is not enough room, or nothing that its placement groups, pools and CPU model allow';
  return new KvasirError('no-host-fits', {
    reasons: sleeper === undefined ? reasons : `${reasons}; ${adviceAbout(sleeper, seesHosts)}`,
  });
}
