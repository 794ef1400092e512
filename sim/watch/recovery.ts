/** Held against the world when it had time: VMs that should run run, and a world in which everything is mended is quiet. */
import { tasks } from '@kvasir/manager/store/tasks.ts';
import { haIncidents, haRestarts } from '@kvasir/manager/store/ha-incidents.ts';
import { clusterHa } from '@kvasir/manager/store/ha-settings.ts';
import { hostHa } from '@kvasir/manager/store/host-ha.ts';
import { hostStandby } from '@kvasir/manager/store/host-standby.ts';
import { hosts } from '@kvasir/manager/store/hosts.ts';
import { lastEventSeq } from '@kvasir/manager/store/events.ts';
import { routers } from '@kvasir/manager/store/routers.ts';
import { vms } from '@kvasir/manager/store/vms.ts';
import type { World } from '../world/world.ts';

/** VMs that are to run and do not, in words. */
export async function notRunning(world: World): Promise<string[]> {
  const { db } = world.store;
  const rows = await vms.select(db, { desiredState: 'running', trashedAt: null }, 'name');
  const wanted = rows.filter(({ state }) => state !== 'failed' && state !== 'creating');
  return wanted
    .filter(({ id }) => world.sim.runningOn(id).length === 0)
    .map(
      ({ name, state, stateReason }) =>
        `${name} does not run (${state}${stateReason === null ? '' : `: ${stateReason}`})`,
    );
}

/** Why the world is not quiet yet; empty: it is. */
export async function unrest(world: World): Promise<string[]> {
  const { db } = world.store;
  const reasons = await notRunning(world);
  for (const task of await tasks.select(db, { state: ['queued', 'running', 'undoing', 'parked'] })) {
    reasons.push(`task ${task.kind} for ${task.targetName} is ${task.state}: ${task.error?.message ?? ''}`);
  }
  for (const incident of await haIncidents.select(db, { closedAt: null })) {
    reasons.push(`an incident of ${incident.hostName} is open (${incident.state})`);
  }
  for (const restart of await haRestarts.select(db, { endedAt: null })) {
    reasons.push(`a restart is ${restart.state}: ${restart.reason ?? ''}`);
  }
  const asleep = new Set((await hostStandby.select(db, { phase: 'standby' })).map(({ hostId }) => hostId));
  for (const { id, name, state } of await hosts.select(db))
    if (state !== (asleep.has(id) ? 'down' : 'up')) reasons.push(`${name} is ${state}`);
  for (const { hostId, state } of await hostHa.select(db)) {
    if (state !== (asleep.has(hostId) ? 'standby' : 'running')) reasons.push(`${world.nameOf(hostId)} is ${state}`);
  }
  for (const { id, name, gatewayHostId } of await routers.select(db)) {
    const serving = [...world.machines.values()].filter(({ sim }) =>
      sim.slice.routers.some(({ routerId, gateway }) => routerId === id && gateway?.here === true),
    );
    if (serving.length !== 1 || serving[0]!.hostId !== gatewayHostId) reasons.push(`router ${name} is not served`);
  }
  if ((await clusterHa.select(db)).some(({ suspectsItself }) => suspectsItself))
    reasons.push('the manager suspects itself');
  for (const { name, id, state, desiredState, hostId } of await vms.select(db, { trashedAt: null })) {
    const [where] = world.sim.runningOn(id);
    if (state === 'running' && where !== hostId) reasons.push(`${name} is said to run where it does not`);
    if (state === 'stopped' && where !== undefined) reasons.push(`${name} is said to be stopped, and runs`);
    if (desiredState === 'stopped' && where !== undefined) reasons.push(`${name} is to be stopped, and runs`);
    if (state === 'unknown' || state === 'creating') reasons.push(`${name} is ${state}`);
  }
  return reasons;
}

export async function eventCount(world: World): Promise<number> {
  return await lastEventSeq(world.store.db);
}
