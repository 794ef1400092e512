/** High availability in requests about clusters and VMs: what they may ask for, and how it shows. */
import type { HaPolicy, VmHa } from '@kvasir/api/resources/ha-policy.ts';
import type { HaPolicyChange, VmHaChange } from '@kvasir/api/resources/ha-policy.ts';
import { invalidField } from '@kvasir/api/errors.ts';
import { heartbeatIntervalMs } from '@kvasir/api/agent/link.ts';
import type { Static } from 'typebox';
import type { Executor } from '../store/database.ts';
import { clusterHa, haPolicyOf, policyOf, setClusterHa, setVmHa, vmHa } from '../store/ha-settings.ts';
import { vms } from '../store/vms.ts';
import type { Change } from './call.ts';

/** Undefined fields say nothing. */
function told<T extends object>(changes: T): Partial<{ [K in keyof T]: Exclude<T[K], undefined> }> {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as Partial<{
    [K in keyof T]: Exclude<T[K], undefined>;
  }>;
}

/** @throws invalid-request when the times do not go together */
export async function changePolicy(
  change: Change,
  clusterId: string,
  asked: Static<typeof HaPolicyChange> | undefined,
): Promise<void> {
  if (asked === undefined) return;
  const policy = told(asked) as Partial<HaPolicy>;
  if (policy.suspectAfterMs !== undefined && policy.suspectAfterMs <= heartbeatIntervalMs) {
    throw invalidField(
      '/body/ha/suspectAfterMs',
      `must be more than the ${heartbeatIntervalMs} between two heartbeats`,
    );
  }
  const { suspectAfterMs, fenceAfterMs } = { ...(await haPolicyOf(change.tx, clusterId)), ...policy };
  // Else a manager that is cut off would lose one host by itself first, and fence it before it can suspect itself.
  if (fenceAfterMs < suspectAfterMs + heartbeatIntervalMs) {
    throw invalidField('/body/ha/fenceAfterMs', `must be at least ${heartbeatIntervalMs} more than suspectAfterMs`);
  }
  await setClusterHa(change.tx, clusterId, { policy });
}

/** By cluster id. */
export async function policiesOf(db: Executor, clusterIds: readonly string[]): Promise<ReadonlyMap<string, HaPolicy>> {
  const rows = new Map((await clusterHa.select(db, { clusterId: clusterIds })).map((row) => [row.clusterId, row]));
  return new Map(clusterIds.map((id) => [id, policyOf(rows.get(id))]));
}

/** @throws invalid-request when the VM would wait for itself */
export async function changeVmHa(
  change: Change,
  vm: { readonly id: string; readonly name: string },
  asked: Static<typeof VmHaChange> | undefined,
): Promise<void> {
  if (asked === undefined) return;
  const settings = told(asked) as Partial<VmHa>;
  if (settings.dependsOn?.includes(vm.name)) throw invalidField('/body/ha/dependsOn', 'must not name the VM itself');
  await setVmHa(change.tx, vm.id, settings);
}

/** VMs that depend on it go on doing so. */
export async function followRename(
  { tx }: Change,
  { projectId, name }: { readonly projectId: string; readonly name: string },
  newName: string,
): Promise<void> {
  const ids = (await vms.select(tx, { projectId })).map(({ id }) => id);
  for (const { vmId, settings } of await vmHa.select(tx, { vmId: ids })) {
    const names = settings.dependsOn ?? [];
    if (!names.includes(name)) continue;
    await setVmHa(tx, vmId, { dependsOn: [...new Set(names.map((each) => (each === name ? newName : each)))] });
  }
}
