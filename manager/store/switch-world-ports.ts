/** Ports as slices need them: with addresses, groups, QoS and where their VMs are. Sub-ports of trunks are ports too. */
import type { WorldPort } from '@kvasir/control/network/world.ts';
import { sql } from 'kysely';
import type { Executor } from './database.ts';
import { networkAddresses } from './networks.ts';
import { qosPolicies } from './port-policies.ts';
import { portSecurityGroups } from './security-groups.ts';
import { sessionCuts } from './session-cuts.ts';

/** More values than this in one condition, and the whole table is read instead. */
export const fewIds = 500;

/** A condition on a key; none where it would be too long. */
export function byIds(ids: readonly string[]): { readonly id?: readonly string[] } {
  return ids.length <= fewIds ? { id: ids } : {};
}

interface PortScope {
  readonly hostIds?: readonly string[];
  readonly networkIds?: readonly string[];
}

export async function readPorts(db: Executor, { hostIds, networkIds }: PortScope): Promise<WorldPort[]> {
  if (hostIds?.length === 0 || networkIds?.length === 0) return [];
  const placed = sql<boolean>`(vms.host_id is not null or vms.reserved_host_id is not null)`;
  const onHosts =
    hostIds && sql<boolean>`(vms.host_id in (${list(hostIds)}) or vms.reserved_host_id in (${list(hostIds)}))`;
  let query = db
    .selectFrom('ports')
    .innerJoin('vms', 'vms.id', 'ports.vmId')
    .select(['ports.id', 'ports.vmId', 'ports.networkId', 'ports.macAddress', 'ports.connected', 'ports.antiSpoofing'])
    .select([
      'ports.portSecurity',
      'ports.qosPolicyId',
      'ports.vnicType',
      'ports.createdAt',
      'vms.name',
      'vms.projectId',
      'vms.trashedAt',
      'vms.hostId',
      'vms.reservedHostId',
    ])
    .where(onHosts ?? placed);
  if (networkIds !== undefined && networkIds.length <= fewIds) {
    query = query.where((eb) =>
      eb.or([
        eb('ports.networkId', 'in', [...networkIds]),
        eb(
          'ports.id',
          'in',
          eb
            .selectFrom('subPorts')
            .select('portId')
            .where('networkId', 'in', [...networkIds]),
        ),
      ]),
    );
  }
  const rows = await query.execute();
  const only = rows.length <= fewIds ? rows.map(({ id }) => id) : undefined;
  const policies = new Map((await qosPolicies.select(db)).map((policy) => [policy.id, policy]));
  const groups = Map.groupBy(await portSecurityGroups.select(db, only ? { portId: only } : {}), (row) => row.portId);
  const subs = Map.groupBy(await subPortsOf(db, only), (row) => row.portId);
  const cuts = new Map(
    (await sessionCuts.select(db, only ? { portId: only } : {})).map((row) => [
      `${row.portId}/${row.guestVlan}`,
      row.cuts,
    ]),
  );
  const cutsOf = (portId: string, guestVlan: number): Pick<WorldPort, 'cuts'> => {
    const found = cuts.get(`${portId}/${guestVlan}`);
    return found === undefined ? {} : { cuts: [...found] };
  };
  const subIds = only && [...subs.values()].flat().map(({ id }) => id);
  const addresses = await addressesOf(db, only, subIds);
  return rows.flatMap((row) => {
    const policy = row.qosPolicyId === null ? undefined : policies.get(row.qosPolicyId);
    const common = {
      nicId: row.id,
      createdAt: row.createdAt,
      vmId: row.vmId,
      // Another one of its project may have the name of what is in the trash.
      name: row.trashedAt === null ? hostName(row.name) : null,
      projectId: row.projectId,
      antiSpoofing: row.antiSpoofing === 1,
      filtered: row.portSecurity === 1,
      securityGroupIds: (groups.get(row.id) ?? []).map(({ groupId }) => groupId),
      connected: row.connected === 1,
      // While it moves, what stands by carries the traffic on both hosts.
      hardware: row.vnicType === 'direct' && row.reservedHostId === null,
      hostId: row.hostId,
      incomingHostId: row.reservedHostId === row.hostId ? null : row.reservedHostId,
    };
    const { networkId, macAddress } = row;
    const qos = policy ? { fromVm: policy.fromVm, toVm: policy.toVm, dscp: policy.dscp } : null;
    const own = {
      ...common,
      networkId,
      macAddress,
      addresses: addresses(row.id),
      qos,
      guestVlan: null,
      ...cutsOf(row.id, 0),
    };
    const tagged = (subs.get(row.id) ?? []).map((sub) => ({
      ...common,
      networkId: sub.networkId,
      macAddress: sub.macAddress,
      addresses: addresses(sub.id),
      qos: null,
      guestVlan: sub.vlanId,
      ...cutsOf(row.id, sub.vlanId),
    }));
    return [own, ...tagged];
  });
}

async function subPortsOf(db: Executor, portIds: readonly string[] | undefined) {
  const query = db.selectFrom('subPorts').select(['id', 'portId', 'networkId', 'vlanId', 'macAddress']);
  if (portIds?.length === 0) return [];
  return await (portIds ? query.where('portId', 'in', [...portIds]) : query).execute();
}

/** IPv4 first; equal sets in one order. */
async function addressesOf(
  db: Executor,
  portIds: readonly string[] | undefined,
  subIds: readonly string[] | undefined,
): Promise<(id: string) => string[]> {
  const rows =
    portIds === undefined
      ? await networkAddresses.select(db)
      : [
          ...(await networkAddresses.select(db, { portId: [...portIds] })),
          ...(await networkAddresses.select(db, { subPortId: [...(subIds ?? [])] })),
        ];
  const found = Map.groupBy(rows, ({ portId, subPortId }) => portId ?? subPortId);
  return (id) => (found.get(id) ?? []).map(({ address }) => address).sort();
}

/** A DNS label of the VM's name; null where it cannot be one. */
function hostName(name: string): string | null {
  return /^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/.test(name) ? name.toLowerCase() : null;
}

function list(ids: readonly string[]) {
  return sql.join([...ids]);
}
