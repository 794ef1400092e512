/** The rows of how hosts reach pools. Written only when something changed. */
import type { PoolReport } from '@kvasir/api/agent/host.ts';
import type { Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { poolHosts, pools } from '../store/pools.ts';

export async function poolsSeen(tx: Tx, hostId: string, reports: readonly PoolReport[], now: number): Promise<void> {
  const host = await hosts.find(tx, { id: hostId });
  if (host === undefined) return;
  const before = new Map((await poolHosts.select(tx, { hostId })).map((row) => [row.poolId, row]));
  for (const report of reports) {
    const last = before.get(report.poolId);
    const pool = await pools.find(tx, { id: report.poolId });
    if (pool === undefined) continue;
    const row = { ...report, hostId, updatedAt: now };
    if (
      last !== undefined &&
      JSON.stringify({ ...last, ...row }) === JSON.stringify({ ...last, updatedAt: row.updatedAt })
    )
      continue;
    await poolHosts.put(tx, row, ['poolId', 'hostId']);
    if (report.reachable === (last?.reachable ?? true)) continue;
    await appendEvent(tx, {
      at: row.updatedAt,
      kind: report.reachable ? 'pool.reachable' : 'pool.unreachable',
      severity: report.reachable ? 'info' : 'warning',
      message: report.reachable
        ? `Host ${host.name} reaches pool ${pool.name} again`
        : `Host ${host.name} does not reach pool ${pool.name}: ${report.reason ?? 'no reason given'}`,
      target: { kind: 'pool', id: pool.id, name: pool.name },
      details: { hostId },
    });
  }
}
