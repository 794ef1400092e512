/** How clusters balance their load. A cluster without a row has the defaults. */
import { type BalancePolicy, defaultBalancePolicy } from '@kvasir/api/resources/balance.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface ClusterBalanceRow {
  readonly clusterId: string;
  /** What differs from the defaults. */
  readonly policy: Partial<BalancePolicy>;
  /** When it was looked at last; null: never. */
  readonly balancedAt: number | null;
}

export const clusterBalance = new Table<ClusterBalanceRow>({
  table: 'clusterBalance',
  kind: 'cluster',
  columns: { clusterId: 'text', policy: 'json', balancedAt: 'integer' },
  key: 'clusterId',
});

export async function balancePolicyOf(ex: Executor, clusterId: string): Promise<BalancePolicy> {
  return { ...defaultBalancePolicy, ...(await clusterBalance.find(ex, { clusterId }))?.policy };
}

export async function setClusterBalance(
  tx: Tx,
  clusterId: string,
  changes: Partial<Omit<ClusterBalanceRow, 'clusterId'>>,
): Promise<void> {
  const row = (await clusterBalance.find(tx, { clusterId })) ?? { clusterId, policy: {}, balancedAt: null };
  const policy = { ...row.policy, ...changes.policy };
  await clusterBalance.put(tx, { ...row, ...changes, policy }, ['clusterId']);
}
