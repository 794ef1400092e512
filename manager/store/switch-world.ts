/**
 * Reads what the slices of hosts are made of. Read in a transaction it is one consistent picture, and later pictures are
 * never older than earlier ones.
 */
import type { SliceGroup, SliceMirror } from '@kvasir/api/agent/network-slice.ts';
import { familyOf } from '@kvasir/control/network/subnet.ts';
import type { SwitchWorld, WorldNetwork, WorldPort, WorldRouter } from '@kvasir/control/network/world.ts';
import type { Executor } from './database.ts';
import { hosts } from './hosts.ts';
import { type NetworkRow, networks } from './networks.ts';
import { type MirrorRow, mirrors } from './port-policies.ts';
import { type SecurityGroupRuleRow, securityGroupRules, securityGroups } from './security-groups.ts';
import { byIds, fewIds, readPorts } from './switch-world-ports.ts';
import { readRouters } from './switch-world-routers.ts';
import { uplinks } from './switches.ts';

/**
 * Everything that the slices of these hosts need (undefined: of all hosts). Of other hosts' ports only what they share
 * networks with.
 */
export async function readSwitchWorld(db: Executor, hostIds?: readonly string[]): Promise<SwitchWorld> {
  const scope = hostIds !== undefined && hostIds.length <= fewIds ? hostIds : undefined;
  const here = await readPorts(db, scope === undefined ? {} : { hostIds: scope });
  const routed = await readRouters(db, scope, new Set(here.map(({ networkId }) => networkId)));
  const networkIds = new Set(here.map(({ networkId }) => networkId));
  for (const { interfaces, gateway } of routed) {
    for (const { networkId } of interfaces) networkIds.add(networkId);
    if (gateway) networkIds.add(gateway.externalNetworkId);
  }
  const networkRows = await networks.select(db, byIds([...networkIds]));
  const wide = networkRows.filter(({ kind, domain }) => kind === 'vxlan' || domain !== null).map(({ id }) => id);
  const ports = scope === undefined ? here : merge(here, await readPorts(db, { networkIds: wide }));
  const owners = new Map(networkRows.map(({ id, projectId }) => [id, projectId]));
  /** Also those that are shared no more. */
  const withGuests = new Set(
    ports.flatMap(({ networkId, projectId }) => (owners.get(networkId) === projectId ? [] : [networkId])),
  );
  const { groups, addressSets } = await readGroups(db, scope === undefined ? undefined : here);
  return {
    hosts: await readHosts(db, ports, routed, scope === undefined),
    uplinks: (await uplinks.select(db, scope === undefined ? {} : { hostId: scope })).map(
      ({ id, switchId, hostId, name, nics, bond, lacpFast }) => ({
        uplinkId: id,
        switchId,
        hostId,
        name,
        nics: [...nics],
        bond,
        lacpFast,
      }),
    ),
    networks: networkRows.map((row) => networkOf(row, row.shared || withGuests.has(row.id))),
    ports,
    groups,
    addressSets,
    routers: routed,
    mirrors: (await mirrors.select(db)).map(mirrorOf),
  };
}

async function readHosts(
  db: Executor,
  ports: readonly WorldPort[],
  routed: readonly WorldRouter[],
  all: boolean,
): Promise<SwitchWorld['hosts']> {
  const ids = new Set(ports.flatMap(({ hostId, incomingHostId }) => [hostId ?? '', incomingHostId ?? '']));
  for (const { gateway } of routed) if (gateway) ids.add(gateway.hostId);
  const rows = await hosts.select(db, all ? {} : byIds([...ids]));
  return rows.map(({ id, inventory }) => ({ hostId: id, tunnelAddress: inventory?.tunnelAddress ?? null }));
}

/** Groups of these ports with their rules, and the addresses of the groups that those name. */
async function readGroups(db: Executor, ports: readonly WorldPort[] | undefined) {
  const own = ports && [...new Set(ports.flatMap(({ securityGroupIds }) => securityGroupIds))];
  const rows = await securityGroups.select(db, own ? byIds(own) : {});
  const rules = Map.groupBy(
    await securityGroupRules.select(db, own ? { groupId: rows.map(({ id }) => id) } : {}, 'id'),
    ({ groupId }) => groupId,
  );
  const groups: SliceGroup[] = rows.map(({ id, name }) => ({
    groupId: id,
    name,
    rules: (rules.get(id) ?? []).map(ruleOf),
  }));
  const remote = [...rules.values()].flat().flatMap(({ remoteGroupId }) => remoteGroupId ?? []);
  const addressSets = new Map<string, string[]>([...new Set(remote)].map((id) => [id, []]));
  if (addressSets.size === 0) return { groups, addressSets };
  const members = await db
    .selectFrom('portSecurityGroups')
    .innerJoin('ports', 'ports.id', 'portSecurityGroups.portId')
    .innerJoin('vms', 'vms.id', 'ports.vmId')
    .leftJoin('subPorts', 'subPorts.portId', 'ports.id')
    .innerJoin('networkAddresses', (join) =>
      join.on((eb) =>
        eb.or([
          eb('networkAddresses.portId', '=', eb.ref('ports.id')),
          eb('networkAddresses.subPortId', '=', eb.ref('subPorts.id')),
        ]),
      ),
    )
    .select(['portSecurityGroups.groupId', 'networkAddresses.address'])
    .distinct()
    .where('vms.hostId', 'is not', null)
    .where('portSecurityGroups.groupId', 'in', [...addressSets.keys()])
    .execute();
  for (const { groupId, address } of members) addressSets.get(groupId)?.push(address);
  return { groups, addressSets };
}

function networkOf(row: NetworkRow, shared: boolean): WorldNetwork {
  const { id, name, kind, segment, switchId, mtu, domain, externalVteps } = row;
  const subnets = row.subnets
    .map(({ cidr, gateway, dhcp, dnsServers, leaseSeconds }) => ({
      cidr,
      gateway,
      dhcp,
      dnsServers: [...dnsServers],
      leaseSeconds,
    }))
    .sort((a, b) => familyOf(a).localeCompare(familyOf(b)));
  return { networkId: id, name, kind, segment, switchId, mtu, domain, shared, subnets, externalVteps };
}

function ruleOf(row: SecurityGroupRuleRow): SliceGroup['rules'][number] {
  const { id, direction, family, protocol, portFrom, portTo, icmpType, icmpCode, remoteCidr, remoteGroupId } = row;
  const remote =
    remoteGroupId !== null ? { groupId: remoteGroupId } : remoteCidr !== null ? { cidr: remoteCidr } : null;
  return {
    ruleId: id,
    direction,
    family,
    protocol,
    ports: portFrom === null ? null : { from: portFrom, to: portTo ?? portFrom },
    icmp: icmpType === null ? null : { type: icmpType, code: icmpCode },
    remote,
  };
}

function mirrorOf(row: MirrorRow): SliceMirror {
  const { id, name, sourceNetworkId, sourcePortIds, direction, targetPortId, targetKind, targetAddress, targetKey } =
    row;
  return {
    mirrorId: id,
    name,
    sources: sourceNetworkId === null ? { nicIds: [...sourcePortIds] } : { networkId: sourceNetworkId },
    direction,
    target:
      targetKind === null || targetAddress === null
        ? { nicId: targetPortId ?? id }
        : { remote: targetKind, address: targetAddress, key: targetKey ?? 0 },
  };
}

function merge(a: readonly WorldPort[], b: readonly WorldPort[]): WorldPort[] {
  const key = ({ nicId, guestVlan }: WorldPort): string => `${nicId}/${guestVlan ?? ''}`;
  return [...new Map([...a, ...b].map((port) => [key(port), port])).values()];
}
