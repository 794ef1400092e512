/** Devices with virtual functions as a host shows them, with what is left of them. */
import type { Host } from '@kvasir/api/resources/host.ts';
import type { Executor } from '../store/database.ts';
import type { HostRow } from '../store/hosts.ts';
import { uplinks } from '../store/switches.ts';
import { type FunctionCount, functionsOn } from '../store/virtual-functions.ts';

type FunctionView = Host['physicalFunctions'][number];

/** By host. Most hosts have no such device, and then nothing is read. */
export async function functionViews(db: Executor, rows: readonly HostRow[]): Promise<Map<string, FunctionView[]>> {
  const divided = rows.filter(({ inventory }) => (inventory?.physicalFunctions?.length ?? 0) > 0);
  if (divided.length === 0) return new Map();
  const linked = await uplinks.select(db, { hostId: divided.map(({ id }) => id) });
  const counts = new Map<string, Record<string, FunctionCount>>();
  for (const switchId of new Set(linked.map((uplink) => uplink.switchId))) {
    counts.set(switchId, await functionsOn(db, { switchId, exceptVmId: null }));
  }
  const views = divided.map(({ id, inventory }): [string, FunctionView[]] => [
    id,
    (inventory?.physicalFunctions ?? []).map(({ nic, pciAddress, driver, virtualFunctions, most }) => {
      const switchId = linked.find(({ hostId, nics }) => hostId === id && nics.includes(nic))?.switchId ?? null;
      const free = switchId === null ? null : (counts.get(switchId)?.[id]?.free ?? 0);
      return { nic, pciAddress, driver, switchId, virtualFunctions: virtualFunctions.length, most, free };
    }),
  ]);
  return new Map(views);
}
