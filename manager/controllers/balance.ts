/**
 * Looks at how evenly each cluster is loaded, as often as the cluster says, and suggests moves or makes them. Moves are decided
 * in the transaction that enqueues them, and while VMs still move or are restarted in a cluster nothing is planned there: their
 * load is not where it will be.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { PlannedMove } from '@kvasir/control/balance/plan-moves.ts';
import type { Ids } from '../ids.ts';
import { balancePolicyOf, clusterBalance, setClusterBalance } from '../store/cluster-balance.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { clusters } from '../store/clusters.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { haIncidents } from '../store/ha-incidents.ts';
import { currentEpoch } from '../store/leader.ts';
import { planBalance } from '../tasks/balance-world.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import type { Enqueue } from '../tasks/kind.ts';
import { enqueueMove } from '../tasks/vm-move-intent.ts';
import { type Log, Rounds } from './rounds.ts';

export interface BalanceSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly clusterSnapshots: ClusterSnapshots;
  readonly signals: Pick<HostSignals, 'cpusUsed'>;
  readonly epoch: () => number | undefined;
}

const everyMs = 10_000;

export function balanceClusters(seams: BalanceSeams, log: Log): Rounds {
  const round = () => balanceOnce(seams);
  return new Rounds({ name: 'balance of clusters', clock: seams.clock, everyMs, log, round });
}

/** Looks at the clusters whose time it is. */
export async function balanceOnce(seams: BalanceSeams): Promise<void> {
  const { store, clock } = seams;
  // Who never said anything has the defaults, which are manual.
  for (const { clusterId, balancedAt } of await clusterBalance.select(store.db)) {
    const { mode, intervalMinutes } = await balancePolicyOf(store.db, clusterId);
    const due = balancedAt === null || Math.abs(clock.now() - balancedAt) >= intervalMinutes * 60_000;
    if (mode === 'manual' || !due || (await isMoving(store.db, clusterId))) continue;
    await store.transaction(async (tx) => {
      const epoch = seams.epoch();
      if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
      const now = clock.now();
      const { moves } = await planBalance(tx, clusterId, now, seams.signals);
      await setClusterBalance(tx, clusterId, { balancedAt: now });
      if (moves.length === 0) return;
      if (mode === 'suggested') await tell(tx, clusterId, 'balance.suggested', moves, now);
      else await make(tx, seams, clusterId, moves, now);
    });
  }
}

async function make(tx: Tx, seams: BalanceSeams, clusterId: string, moves: readonly PlannedMove[], now: number) {
  const enqueue: Enqueue = (at, task) => enqueueTask(at, seams, task);
  for (const { vmId, fromHostId, toHostId } of moves)
    await enqueueMove(
      tx,
      { enqueue, clusterSnapshots: seams.clusterSnapshots },
      { vmId, fromHostId, toHostId, userId: null },
    );
  await tell(tx, clusterId, 'balance.moving', moves, now);
}

async function tell(tx: Tx, clusterId: string, kind: string, moves: readonly PlannedMove[], at: number): Promise<void> {
  const { name } = await clusters.get(tx, clusterId);
  const words = moves.map(({ vmName, because }) => `${vmName}: ${because}`).join('; ');
  await appendEvent(tx, {
    at,
    kind,
    message: `${moves.length} VM(s) ${kind === 'balance.moving' ? 'move' : 'should move'} in cluster ${name}: ${words}`,
    target: { kind: 'cluster', id: clusterId, name },
    details: { vmIds: moves.map(({ vmId }) => vmId) },
  });
}

async function isMoving(db: Executor, clusterId: string): Promise<boolean> {
  if ((await haIncidents.count(db, { clusterId, closedAt: null })) > 0) return true;
  const reserved = await db
    .selectFrom('vms')
    .select('id')
    .where('clusterId', '=', clusterId)
    .where('reservedHostId', 'is not', null)
    .limit(1)
    .execute();
  return reserved.length > 0;
}
