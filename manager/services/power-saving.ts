/** Power saving of a cluster for people: how it is, how it shall be, and doing what is suggested. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { PowerSaving, powerSavingOperations } from '@kvasir/api/resources/power-saving.ts';
import { planPower, unsteady, whyStays } from '@kvasir/control/power-saving/plan-power.ts';
import { freeShares, roomNow } from '@kvasir/control/power-saving/room.ts';
import { powerSavingPolicyOf, setClusterPowerSaving } from '../store/cluster-power-saving.ts';
import { clusters } from '../store/clusters.ts';
import { hosts } from '../store/hosts.ts';
import { readPowerWorld } from '../tasks/power-saving-world.ts';
import { enqueueStandby, enqueueWake } from '../tasks/standby-intent.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { saysSomething, updateRow } from './changes.ts';
import { findCluster } from './clusters.ts';
import { taskView } from './tasks.ts';
import { iso, isoOrNull } from './views.ts';

export const showPowerSaving: ReadService<typeof powerSavingOperations.showPowerSaving> = async (call, { params }) =>
  await powerSavingView(call, (await findCluster(call, params.cluster)).id);

export const updatePowerSaving: ChangeService<typeof powerSavingOperations.updatePowerSaving> = async (
  change,
  { params, body },
) => {
  const cluster = await findCluster(change, params.cluster);
  const told = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  const wrong = unsteady({ ...(await powerSavingPolicyOf(change.tx, cluster.id)), ...told });
  if (wrong !== undefined) throw invalidField('/body/keepFreePercent', wrong);
  await updateRow(change, clusters, cluster, {}, saysSomething(told));
  if (saysSomething(told)) await setClusterPowerSaving(change.tx, cluster.id, { policy: told, told: '' });
  return await powerSavingView(change, cluster.id);
};

export const applyPowerSaving: ChangeService<typeof powerSavingOperations.applyPowerSaving> = async (
  change,
  { params, body },
) => {
  const cluster = await findCluster(change, params.cluster);
  const now = change.env.clock.now();
  const policy = await powerSavingPolicyOf(change.tx, cluster.id);
  const world = await readPowerWorld(change.tx, cluster.id, now);
  const names = new Map(world.hosts.map(({ placement }) => [placement.id, placement.name]));
  const actions = planPower(world, policy, now);
  const wanted = actions.filter(({ hostId }) => body.host === undefined || names.get(hostId) === body.host);
  if (body.host !== undefined && wanted.length === 0)
    throw new KvasirError('host-needed', { host: body.host, reason: 'nothing is suggested of it now' });
  const userId = change.actor?.userId ?? null;
  const tasks = [];
  for (const { kind, hostId, because } of wanted) {
    const host = await hosts.get(change.tx, hostId);
    const row =
      kind === 'wake'
        ? await enqueueWake(change.tx, change.env, host, { because, userId })
        : await enqueueStandby(change.tx, change.env, host, { byPolicy: true, because, userId });
    tasks.push(await taskView(change.db, row));
  }
  return { tasks };
};

async function powerSavingView(call: Call, clusterId: string): Promise<PowerSaving> {
  const now = call.env.clock.now();
  const policy = await powerSavingPolicyOf(call.db, clusterId);
  const world = await readPowerWorld(call.db, clusterId, now);
  const names = new Map(world.hosts.map(({ placement }) => [placement.id, placement.name]));
  const rounded = (share: number): number => Math.round(share * 1000) / 1000;
  return {
    ...policy,
    hosts: world.hosts.map((host) => {
      const { placement, power, dispensableSinceMs } = host;
      const alone = { ...world, hosts: [{ ...host, power: 'on' as const }] };
      const free = freeShares(world, roomNow(alone, new Set([placement.id])));
      return {
        name: placement.name,
        power,
        memory: rounded(1 - free.memory),
        cpus: rounded(1 - free.cpus),
        dispensableSince: isoOrNull(dispensableSinceMs),
        stays: whyStays(host, world, policy, now) ?? null,
      };
    }),
    actions: planPower(world, policy, now).map((action) => ({
      action: action.kind,
      hostName: names.get(action.hostId)!,
      vms: action.kind === 'standby' ? action.vms : 0,
      dueAt: action.kind === 'standby' ? iso(action.dueMs) : null,
      because: action.because,
    })),
  };
}
