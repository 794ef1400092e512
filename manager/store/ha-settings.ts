/** How clusters and VMs want to be treated when something fails. A cluster or VM without a row has the defaults. */
import { defaultHaPolicy, defaultVmHa, type HaPolicy, type VmHa } from '@kvasir/api/resources/ha-policy.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface ClusterHaRow {
  readonly clusterId: string;
  /** What differs from the defaults. */
  readonly policy: Partial<HaPolicy>;
  readonly suspectsItself: boolean;
}

export const clusterHa = new Table<ClusterHaRow>({
  table: 'clusterHa',
  kind: 'cluster',
  columns: { clusterId: 'text', policy: 'json', suspectsItself: 'flag' },
  key: 'clusterId',
});

export interface VmHaRow {
  readonly vmId: string;
  readonly settings: Partial<VmHa>;
}

export const vmHa = new Table<VmHaRow>({
  table: 'vmHa',
  kind: 'VM',
  columns: { vmId: 'text', settings: 'json' },
  key: 'vmId',
});

export function policyOf(row: ClusterHaRow | undefined): HaPolicy {
  return { ...defaultHaPolicy, ...row?.policy };
}

export async function haPolicyOf(ex: Executor, clusterId: string): Promise<HaPolicy> {
  return policyOf(await clusterHa.find(ex, { clusterId }));
}

export async function setClusterHa(
  tx: Tx,
  clusterId: string,
  changes: Partial<Omit<ClusterHaRow, 'clusterId'>>,
): Promise<void> {
  const row = (await clusterHa.find(tx, { clusterId })) ?? { clusterId, policy: {}, suspectsItself: false };
  const policy = { ...row.policy, ...changes.policy };
  await clusterHa.put(tx, { ...row, ...changes, policy }, ['clusterId']);
}

/** By VM id; VMs with the defaults are there too. */
export async function vmHaOf(ex: Executor, vmIds: readonly string[]): Promise<ReadonlyMap<string, VmHa>> {
  const rows = new Map((await vmHa.select(ex, { vmId: vmIds })).map((row) => [row.vmId, row.settings]));
  return new Map(vmIds.map((id) => [id, { ...defaultVmHa, ...rows.get(id) }]));
}

export async function setVmHa(tx: Tx, vmId: string, changes: Partial<VmHa>): Promise<void> {
  const row = await vmHa.find(tx, { vmId });
  await vmHa.put(tx, { vmId, settings: { ...row?.settings, ...changes } }, ['vmId']);
}
