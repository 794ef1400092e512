/** A cluster as balancing sees it, and the moves that are worth it now. Read in the caller's transaction. */
import { type BalanceWorld, type PlannedMove, planMoves } from '@kvasir/control/balance/plan-moves.ts';
import { balancePolicyOf } from '../store/cluster-balance.ts';
import type { Executor } from '../store/database.ts';
import { haPolicyOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { taskIdsByTarget, tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { readAdmissionHosts } from './admission-world.ts';
import { requestsFor } from './ha-placement.ts';
import type { HostSignals } from './ha-snapshot.ts';

export async function planBalance(
  db: Executor,
  clusterId: string,
  now: number,
  signals: Pick<HostSignals, 'cpusUsed'>,
): Promise<{ readonly world: BalanceWorld; readonly moves: readonly PlannedMove[] }> {
  const policy = await balancePolicyOf(db, clusterId);
  const world = await readBalanceWorld(db, clusterId, now - policy.restMinutes * 60_000, signals);
  return { world, moves: planMoves(world, policy) };
}

/** VMs that moved since `restSince` stay where they are. */
async function readBalanceWorld(
  db: Executor,
  clusterId: string,
  restSince: number,
  signals: Pick<HostSignals, 'cpusUsed'>,
): Promise<BalanceWorld> {
  const { cluster, hosts } = await readAdmissionHosts(db, clusterId);
  const unwell = new Set(
    (await hostHa.select(db)).filter(({ state }) => state !== 'running').map(({ hostId }) => hostId),
  );
  const spare = await spareHosts(db, clusterId);
  const running = await vms.select(db, { clusterId, state: 'running', reservedHostId: null });
  const ids = running.map(({ id }) => id);
  const busy = await taskIdsByTarget(db, ids);
  const moved = await tasks.select(db, { kind: 'vm-migrate', targetId: ids });
  const resting = new Set(moved.filter(({ createdAt }) => createdAt > restSince).map(({ targetId }) => targetId));
  const requests = await requestsFor(
    db,
    ids.filter((id) => !busy.has(id) && !resting.has(id)),
  );
  return {
    cluster,
    hosts: hosts.map((host) =>
      unwell.has(host.id) || spare.includes(host.name) ? { ...host, schedulable: false } : host,
    ),
    movable: requests
      .filter(({ vm, request }) => vm.hostId !== null && request.volumeHostIds.length === 0)
      .map(({ vm, request }) => {
        const cpusUsed = signals.cpusUsed?.(vm.hostId!, vm.id);
        const movable = { hostId: vm.hostId!, name: vm.name, request };
        return cpusUsed === undefined ? movable : { ...movable, cpusUsed };
      }),
  };
}

async function spareHosts(db: Executor, clusterId: string): Promise<readonly string[]> {
  const { admission, admissionBy, admissionSpareHosts } = await haPolicyOf(db, clusterId);
  return admission !== 'off' && admissionBy === 'spare-hosts' ? admissionSpareHosts : [];
}
