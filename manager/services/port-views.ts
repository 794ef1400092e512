/** Ports as the API shows them: with their addresses, groups and sub-ports. */
import type { Port } from '@kvasir/api/resources/port.ts';
import { networkAddresses, networks, type PortRow, subPorts } from '../store/networks.ts';
import { vms } from '../store/vms.ts';
import { actorOf } from './access.ts';
import type { Call } from './call.ts';
import { byFamily, policyOf } from './port-policy.ts';
import { versionedView } from './views.ts';

export async function portView(call: Call, row: PortRow): Promise<Port> {
  return (await portViews(call, [row]))[0]!;
}

export async function portViews(call: Call, rows: readonly PortRow[]): Promise<Port[]> {
  actorOf(call);
  const { db } = call;
  const ids = rows.map(({ id }) => id);
  const policy = await policyOf(db, ids);
  const subs = await subPorts.select(db, { portId: ids }, 'vlanId');
  const subAddresses = Map.groupBy(
    await networkAddresses.select(db, { subPortId: subs.map(({ id }) => id) }),
    ({ subPortId }) => subPortId,
  );
  const networkIds = [...new Set([...rows, ...subs].map(({ networkId }) => networkId))];
  const networkNames = new Map((await networks.select(db, { id: networkIds })).map(({ id, name }) => [id, name]));
  const vmOf = new Map((await vms.select(db, { id: rows.map(({ vmId }) => vmId) })).map((vm) => [vm.id, vm]));
  const networkName = (id: string): string => networkNames.get(id) ?? '';
  return rows.map((row) => ({
    ...versionedView(row),
    projectId: vmOf.get(row.vmId)!.projectId,
    vmId: row.vmId,
    vmName: vmOf.get(row.vmId)!.name,
    networkId: row.networkId,
    networkName: networkName(row.networkId),
    macAddress: row.macAddress,
    connected: row.connected,
    antiSpoofing: row.antiSpoofing,
    portSecurity: row.portSecurity,
    qosPolicyId: row.qosPolicyId,
    vnicType: row.vnicType,
    ...policy(row.id),
    subPorts: subs
      .filter(({ portId }) => portId === row.id)
      .map(({ id, vlanId, networkId, macAddress }) => ({
        id,
        vlanId,
        networkId,
        networkName: networkName(networkId),
        macAddress,
        addresses: (subAddresses.get(id) ?? []).map(({ address }) => address).sort(byFamily),
      })),
  }));
}
