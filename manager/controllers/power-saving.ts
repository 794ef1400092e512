/**
 * Looks at each cluster that saves power or has hosts in standby: notes since when hosts are dispensable, sends them to standby or
 * suggests it, wakes them when they are needed, and takes those back that came up by themselves.
 *
 * Invariants: what is done is decided in the transaction that enqueues it, under this leader's epoch. A host is sent to standby
 * only when its power device answered lately: what cannot be woken stays on.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { dispensable, planPower } from '@kvasir/control/power-saving/plan-power.ts';
import type { PowerAction, PowerPolicy, PowerWorld } from '@kvasir/control/power-saving/world.ts';
import type { Ids } from '../ids.ts';
import { clusterPowerSaving, powerSavingPolicyOf, setClusterPowerSaving } from '../store/cluster-power-saving.ts';
import { clusters } from '../store/clusters.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { fenceDevices } from '../store/fence-devices.ts';
import { hostPowerChecks, hostStandby, setStandby } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import type { CapacityWish, CapacityWishes } from '../tasks/capacity-wishes.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import { byAnyDevice } from '../tasks/host-power.ts';
import { backInService, tellStandby } from '../tasks/host-standby.ts';
import type { PowerControl } from '../tasks/power-control.ts';
import { checkedWithinMs, readPowerWorld, sleepersOf } from '../tasks/power-saving-world.ts';
import { enqueueStandby, enqueueWake } from '../tasks/standby-intent.ts';
import { type Log, Rounds } from './rounds.ts';

export interface PowerSavingSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly signals: Pick<HostSignals, 'lastHeartbeatMs'>;
  readonly power: PowerControl;
  readonly wishes: CapacityWishes;
  readonly epoch: () => number | undefined;
}

const everyMs = 3000;
/** A device is asked again well before its last answer is too old. */
const checkEveryMs = checkedWithinMs / 2;
/** A heartbeat that was sent just before the power was cut may come just after. */
const crossingMs = 1000;

export function savePower(seams: PowerSavingSeams, log: Log): Rounds {
  const round = (signal: AbortSignal) => savePowerOnce(seams, signal);
  return new Rounds({ name: 'saving of power', clock: seams.clock, everyMs, log, round });
}

export async function savePowerOnce(seams: PowerSavingSeams, signal?: AbortSignal): Promise<void> {
  const { store, wishes } = seams;
  const saving = await clusterPowerSaving.select(store.db);
  const asleep = new Set((await hostStandby.select(store.db)).map(({ hostId }) => hostId));
  const sleeping = new Set((await hosts.select(store.db, { id: [...asleep] })).map(({ clusterId }) => clusterId));
  for (const { id } of await clusters.select(store.db)) {
    const wished = wishes.take(id);
    const mode = saving.find(({ clusterId }) => clusterId === id)?.policy.mode ?? 'off';
    if (mode === 'off' && !sleeping.has(id)) continue;
    if (mode !== 'off') await checkDevices(seams, id, signal);
    await store.transaction(async (tx) => {
      const epoch = seams.epoch();
      if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
      const now = seams.clock.now();
      await takeBack(tx, seams, id, now);
      await decide(tx, seams, id, now, wished);
    });
  }
}

async function decide(
  tx: Tx,
  seams: PowerSavingSeams,
  clusterId: string,
  now: number,
  wishes: readonly CapacityWish[],
) {
  const policy = await powerSavingPolicyOf(tx, clusterId);
  const world = await noteDispensable(tx, clusterId, await readPowerWorld(tx, clusterId, now, wishes), policy, now);
  const actions = planPower(world, policy, now);
  const due = actions.filter((action) => action.kind === 'wake' || action.dueMs <= now);
  if (policy.mode === 'suggested') await suggest(tx, clusterId, actions, now);
  for (const action of due) {
    const always = action.kind === 'wake' && (action.afterFailure || policy.mode === 'off');
    if (policy.mode !== 'automatic' && !always) continue;
    const host = await hosts.get(tx, action.hostId);
    const order = { because: action.because, userId: null };
    if (action.kind === 'wake') await enqueueWake(tx, seams, host, order);
    else await enqueueStandby(tx, seams, host, { ...order, byPolicy: true });
    const what = action.kind === 'wake' ? 'is being woken' : 'goes to standby';
    await tellStandby(tx, host.id, { at: now, what: `${what}: ${action.because}`, kind: `host.${action.kind}` });
  }
}

/** While nothing can be said of load, because VMs move or a host is on its way, what was noted stays. */
async function noteDispensable(
  tx: Tx,
  clusterId: string,
  world: PowerWorld,
  policy: PowerPolicy,
  now: number,
): Promise<PowerWorld> {
  const moving = world.hosts.some(({ power }) => power === 'entering' || power === 'waking');
  if (policy.mode !== 'off' && (world.unsettled !== null || moving)) return world;
  const free = new Set(dispensable(world, policy, now).map(({ hostId }) => hostId));
  const noted = world.hosts.map((host) => {
    const since = free.has(host.placement.id) ? (host.dispensableSinceMs ?? now) : null;
    return { ...host, dispensableSinceMs: since };
  });
  const changed = noted.some((host, at) => host.dispensableSinceMs !== world.hosts[at]!.dispensableSinceMs);
  const entries = noted.flatMap(({ placement, dispensableSinceMs: since }) =>
    since === null ? [] : [[placement.id, since]],
  );
  if (changed) await setClusterPowerSaving(tx, clusterId, { dispensable: Object.fromEntries(entries) });
  return { ...world, hosts: noted };
}

/** Once, until something else is suggested. */
async function suggest(tx: Tx, clusterId: string, actions: readonly PowerAction[], at: number): Promise<void> {
  const due = actions.filter((action) => action.kind === 'wake' || action.dueMs <= at);
  const told = due.map(({ kind, hostId }) => `${kind} ${hostId}`).join();
  if ((await clusterPowerSaving.find(tx, { clusterId }))?.told === told) return;
  await setClusterPowerSaving(tx, clusterId, { told });
  if (due.length === 0) return;
  const { name } = await clusters.get(tx, clusterId);
  await appendEvent(tx, {
    at,
    kind: 'power-saving.suggested',
    message: `Power saving in cluster ${name}: ${due.map(({ because }) => because).join('; ')}`,
    target: { kind: 'cluster', id: clusterId, name },
    details: { hostIds: due.map(({ hostId }) => hostId) },
  });
}

/** Hosts that were switched on by somebody, or late, or never went off, are hosts like any other; those that stay away are told of. */
async function takeBack(tx: Tx, { signals }: PowerSavingSeams, clusterId: string, now: number): Promise<void> {
  const sleepers = await sleepersOf(tx, clusterId);
  const busy = await taskIdsByTarget(
    tx,
    sleepers.map(({ hostId }) => hostId),
  );
  const { wakeTimeoutMs } = await powerSavingPolicyOf(tx, clusterId);
  for (const { hostId, phase, since, host } of sleepers) {
    if (busy.has(hostId)) continue;
    if (host.state === 'up' && (signals.lastHeartbeatMs(hostId) ?? 0) > since + crossingMs) {
      await backInService(tx, hostId, now, 'it came up');
      await tellStandby(tx, hostId, { at: now, what: 'came up and is back in service' });
    } else if (phase === 'waking' && now - since >= wakeTimeoutMs) {
      await setStandby(tx, hostId, { phase: 'failed', since: now });
      const what = `was switched on, but its agent was not heard within ${Math.round(wakeTimeoutMs / 1000)} s`;
      await tellStandby(tx, hostId, { at: now, what, kind: 'host.wake-failed', severity: 'error' });
    }
  }
}

/** Asks the power devices of hosts that are on, one after the other, when that is due. */
async function checkDevices({ store, clock, power }: PowerSavingSeams, clusterId: string, signal?: AbortSignal) {
  const here = await hosts.select(store.db, { clusterId, state: 'up' });
  const devices = new Set((await fenceDevices.select(store.db)).map(({ hostId }) => hostId));
  const checks = new Map((await hostPowerChecks.select(store.db)).map((row) => [row.hostId, row]));
  const due = here.filter(({ id }) => devices.has(id) && clock.now() - (checks.get(id)?.at ?? 0) >= checkEveryMs);
  await Promise.all(
    due.map(async (host) => {
      const error = await byAnyDevice(store.db, host, 'read', (id) => power.powerState(id, signal)).then(
        ({ reading }) => (reading.state === 'on' ? null : 'it says that the host is off'),
        (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
      );
      if (signal?.aborted === true) return;
      const row = { hostId: host.id, at: clock.now(), error };
      await store.transaction((tx) => hostPowerChecks.put(tx, row, ['hostId']));
    }),
  );
}
