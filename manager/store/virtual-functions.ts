/**
 * Virtual functions of the hosts' devices (SR-IOV): how many there are behind the uplinks of a switch, and how many of these NICs
 * hold. A NIC holds one where its VM is defined, also while it is stopped, and one on the destination of its migration.
 */
import type { FunctionsNeeded } from '@kvasir/control/placement/world.ts';
import type { Executor } from './database.ts';
import { hosts } from './hosts.ts';
import { networks } from './networks.ts';
import { switches, uplinks } from './switches.ts';

export interface FunctionCount {
  readonly total: number;
  readonly free: number;
}

/** What a VM with a direct NIC on each of these networks (one may stand there twice) needs, and where it is to be had. */
export async function functionsNeeded(
  db: Executor,
  vmId: string,
  directNetworkIds: readonly string[],
): Promise<FunctionsNeeded[]> {
  if (directNetworkIds.length === 0) return [];
  const switchOf = new Map((await networks.select(db, { id: directNetworkIds })).map((row) => [row.id, row.switchId]));
  const asked = Map.groupBy(
    directNetworkIds.flatMap((id) => switchOf.get(id) ?? []),
    (switchId) => switchId,
  );
  const names = new Map((await switches.select(db, { id: [...asked.keys()] })).map(({ id, name }) => [id, name]));
  const needs: FunctionsNeeded[] = [];
  for (const [switchId, { length: count }] of asked) {
    const onHosts = await functionsOn(db, { switchId, exceptVmId: vmId });
    needs.push({ switchName: names.get(switchId) ?? switchId, count, onHosts });
  }
  return needs;
}

/** By host; hosts without any are left out. */
export async function functionsOn(
  db: Executor,
  { switchId, exceptVmId }: { readonly switchId: string; readonly exceptVmId: string | null },
): Promise<Record<string, FunctionCount>> {
  const linked = await uplinks.select(db, { switchId });
  const held = await heldOn(db, switchId, exceptVmId);
  const counts: Record<string, FunctionCount> = {};
  for (const { id, inventory } of await hosts.select(db, { id: linked.map(({ hostId }) => hostId) })) {
    const nics = new Set(linked.filter(({ hostId }) => hostId === id).flatMap((uplink) => uplink.nics));
    const total = (inventory?.physicalFunctions ?? [])
      .filter(({ nic }) => nics.has(nic))
      .reduce((sum, { virtualFunctions }) => sum + virtualFunctions.length, 0);
    if (total > 0) counts[id] = { total, free: Math.max(0, total - (held.get(id) ?? 0)) };
  }
  return counts;
}

async function heldOn(db: Executor, switchId: string, exceptVmId: string | null): Promise<ReadonlyMap<string, number>> {
  let query = db
    .selectFrom('ports')
    .innerJoin('networks', 'networks.id', 'ports.networkId')
    .innerJoin('vms', 'vms.id', 'ports.vmId')
    .select(['vms.hostId', 'vms.reservedHostId'])
    .where('networks.switchId', '=', switchId)
    .where('ports.vnicType', '=', 'direct');
  if (exceptVmId !== null) query = query.where('vms.id', '<>', exceptVmId);
  const held = new Map<string, number>();
  for (const { hostId, reservedHostId } of await query.execute()) {
    for (const id of new Set([hostId, reservedHostId])) if (id !== null) held.set(id, (held.get(id) ?? 0) + 1);
  }
  return held;
}
