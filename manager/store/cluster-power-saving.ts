/** How clusters save power. A cluster without a row has the defaults: off. */
import { defaultPowerSavingPolicy, type PowerSavingPolicy } from '@kvasir/api/resources/power-saving.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface ClusterPowerSavingRow {
  readonly clusterId: string;
  /** What differs from the defaults. */
  readonly policy: Partial<PowerSavingPolicy>;
  /** Since when each host could have been switched off without a break, by host id; kept by the controller. */
  readonly dispensable: Readonly<Record<string, number>>;
  /** What was suggested last, so that it is not said again and again. */
  readonly told: string;
}

export const clusterPowerSaving = new Table<ClusterPowerSavingRow>({
  table: 'clusterPowerSaving',
  kind: 'cluster',
  columns: { clusterId: 'text', policy: 'json', dispensable: 'json', told: 'text' },
  key: 'clusterId',
});

export async function powerSavingPolicyOf(ex: Executor, clusterId: string): Promise<PowerSavingPolicy> {
  return { ...defaultPowerSavingPolicy, ...(await clusterPowerSaving.find(ex, { clusterId }))?.policy };
}

export async function setClusterPowerSaving(
  tx: Tx,
  clusterId: string,
  changes: Partial<Omit<ClusterPowerSavingRow, 'clusterId'>>,
): Promise<void> {
  const known = await clusterPowerSaving.find(tx, { clusterId });
  const row = known ?? { clusterId, policy: {}, dispensable: {}, told: '' };
  const policy = { ...row.policy, ...changes.policy };
  await clusterPowerSaving.put(tx, { ...row, ...changes, policy }, ['clusterId']);
}
