/**
 * VMs for which only a host in standby has room. In a cluster that saves power by itself a create takes that host: the VM is promised
 * there and the host woken in the same transaction, and the task waits for it. Anything else is refused with the advice what to do.
 */
import type { PlacementRequest } from '@kvasir/control/placement/world.ts';
import { hostToWaitFor } from '@kvasir/control/power-saving/host-to-wait-for.ts';
import { powerSavingPolicyOf } from '../store/cluster-power-saving.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { hostsWithoutUplink } from '../store/switches.ts';
import { tellStandby } from '../tasks/host-standby.ts';
import { readPowerWorld, sleepersOf } from '../tasks/power-saving-world.ts';
import { enqueueWake } from '../tasks/standby-intent.ts';
import { taskIdOf } from '../store/tasks.ts';
import type { Change } from './call.ts';

export interface Sleeper {
  readonly host: HostRow;
  /** Its power is on, or is being switched on. */
  readonly waking: boolean;
  /** The cluster wakes hosts by itself. */
  readonly automatic: boolean;
}

/** The host that would take the VM, were it awake; undefined: none. */
export async function sleeperFor(
  { tx, env }: Change,
  clusterId: string,
  asked: PlacementRequest,
): Promise<Sleeper | undefined> {
  const sleepers = new Map((await sleepersOf(tx, clusterId)).map((row) => [row.hostId, row]));
  if (sleepers.size === 0) return undefined;
  const busy = new Set<string>();
  for (const { hostId, phase } of sleepers.values())
    if (phase === 'standby' && (await taskIdOf(tx, hostId)) !== null) busy.add(hostId);
  const request = { ...asked, networkIds: [], unlinkedHosts: await hostsWithoutUplink(tx, asked.networkIds) };
  const world = await readPowerWorld(tx, clusterId, env.clock.now());
  const found = hostToWaitFor(
    world,
    request,
    ({ placement: { id } }) => sleepers.get(id)?.wasSchedulable === true && !busy.has(id),
  );
  if (found === undefined) return undefined;
  const { mode } = await powerSavingPolicyOf(tx, clusterId);
  const host = await hosts.get(tx, found.placement.id);
  return { host, waking: found.power === 'waking', automatic: mode === 'automatic' };
}

/** Sees to it that the host wakes. @throws KvasirError busy */
export async function wakeFor({ tx, env }: Change, { host, waking }: Sleeper, what: string): Promise<void> {
  if (waking) return;
  const because = `no host that is on takes ${what} (it was asked for): ${host.name} is woken`;
  await enqueueWake(tx, env, host, { because, userId: null });
  await tellStandby(tx, host.id, { at: env.clock.now(), what: `is being woken: ${because}`, kind: 'host.wake' });
}

/** What to do now that it was refused. */
export function adviceAbout({ host, waking, automatic }: Sleeper, seesHosts: boolean): string {
  if (waking || automatic) {
    return seesHosts
      ? `${host.name} has room and is being woken: ask again when it is up`
      : 'a host that has room is being woken: ask again in a few minutes';
  }
  return seesHosts
    ? `${host.name} is in standby and has room: kvasir host wake ${host.name}`
    : 'a host that is switched off to save power has room: ask an operator to wake one';
}
