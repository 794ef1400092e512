/** Balance of a cluster for people: how it is, how it shall be kept, and making the moves that are suggested. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Balance, balanceOperations } from '@kvasir/api/resources/balance.ts';
import { loadOf, spreadOf } from '@kvasir/control/balance/plan-moves.ts';
import { balancePolicyOf, setClusterBalance } from '../store/cluster-balance.ts';
import { clusters } from '../store/clusters.ts';
import { planBalance } from '../tasks/balance-world.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import type { Enqueue } from '../tasks/kind.ts';
import { enqueueMove } from '../tasks/vm-move-intent.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { saysSomething, updateRow } from './changes.ts';
import { findCluster } from './clusters.ts';
import { taskView } from './tasks.ts';

export const showBalance: ReadService<typeof balanceOperations.showBalance> = async (call, { params }) =>
  await balanceView(call, (await findCluster(call, params.cluster)).id);

export const updateBalance: ChangeService<typeof balanceOperations.updateBalance> = async (
  change,
  { params, body },
) => {
  const cluster = await findCluster(change, params.cluster);
  const told = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  await updateRow(change, clusters, cluster, {}, saysSomething(told));
  // Looked at anew at once.
  if (saysSomething(told)) await setClusterBalance(change.tx, cluster.id, { policy: told, balancedAt: null });
  return await balanceView(change, cluster.id);
};

export const applyBalance: ChangeService<typeof balanceOperations.applyBalance> = async (change, { params, body }) => {
  const cluster = await findCluster(change, params.cluster);
  const { moves } = await planBalance(change.tx, cluster.id, change.env.clock.now(), change.env.signals);
  const wanted = body.vm === undefined ? moves : moves.filter(({ vmId }) => vmId === body.vm);
  if (body.vm !== undefined && wanted.length === 0)
    throw new KvasirError('migration-impossible', { reason: 'no move of it is suggested now' });
  const userId = change.actor?.userId ?? null;
  const { clusterSnapshots } = change.env;
  const enqueue: Enqueue = (tx, task) => enqueueTask(tx, change.env, task);
  const seams = { enqueue, clusterSnapshots };
  const tasks = [];
  for (const { vmId, fromHostId, toHostId } of wanted) {
    const row = await enqueueMove(change.tx, seams, { vmId, fromHostId, toHostId, userId });
    tasks.push(await taskView(change.db, row));
  }
  return { tasks };
};

async function balanceView(call: Call, clusterId: string): Promise<Balance> {
  const { world, moves } = await planBalance(call.db, clusterId, call.env.clock.now(), call.env.signals);
  const names = new Map(world.hosts.map(({ id, name }) => [id, name]));
  const rounded = (share: number): number => Math.round(share * 1000) / 1000;
  return {
    ...(await balancePolicyOf(call.db, clusterId)),
    difference: rounded(spreadOf(world)),
    hosts: world.hosts.map((host) => {
      const { memory, cpus } = loadOf(host, world);
      return { name: host.name, memory: rounded(memory), cpus: rounded(cpus) };
    }),
    moves: moves.map(({ vmId, vmName, fromHostId, toHostId, because }) => ({
      vmId,
      vmName,
      fromHostName: names.get(fromHostId)!,
      toHostName: names.get(toHostId)!,
      because,
    })),
  };
}
