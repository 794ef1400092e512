/** What is said of ports beyond their own rows: addresses and groups, read for many ports at once. */
import type { Executor } from '../store/database.ts';
import { networkAddresses } from '../store/networks.ts';
import { portSecurityGroups, securityGroups } from '../store/security-groups.ts';

export interface PortPolicy {
  readonly addresses: string[];
  readonly securityGroups: { readonly id: string; readonly name: string }[];
}

export async function policyOf(db: Executor, portIds: readonly string[]): Promise<(portId: string) => PortPolicy> {
  const portId = [...portIds];
  const addresses = Map.groupBy(await networkAddresses.select(db, { portId }), (row) => row.portId);
  const members = await portSecurityGroups.select(db, { portId }, 'groupId');
  const ids = [...new Set(members.map(({ groupId }) => groupId))];
  const names = new Map((await securityGroups.select(db, { id: ids })).map(({ id, name }) => [id, name]));
  const groups = Map.groupBy(members, (row) => row.portId);
  return (id) => ({
    addresses: (addresses.get(id) ?? []).map(({ address }) => address).sort(byFamily),
    securityGroups: (groups.get(id) ?? []).map(({ groupId }) => ({ id: groupId, name: names.get(groupId) ?? '' })),
  });
}

/** IPv4 first. */
export function byFamily(a: string, b: string): number {
  return Number(a.includes(':')) - Number(b.includes(':')) || a.localeCompare(b);
}
