/** The NICs that the switch has ports for, read from the ids on their interfaces. */
import { record } from '@kvasir/ovs/ovsdb-values.ts';
import type { CurrentRows } from './current.ts';
import type { PluggedNic } from './wanted-switch.ts';

export function pluggedNics(rows: CurrentRows): PluggedNic[] {
  return rows.all('Interface').flatMap(({ row }) => {
    const ids = record(row.external_ids);
    const nicId = ids['iface-id'];
    const vmId = ids['kvasir-vm'];
    const networkId = ids['kvasir-network'];
    if (nicId === undefined || vmId === undefined || networkId === undefined) return [];
    return [{ device: String(row.name), nicId, vmId, networkId, macAddress: ids['attached-mac'] ?? '' }];
  });
}
