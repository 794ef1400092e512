/** Routers as slices need them, with what their gateways translate. */
import { contains, parseAddress } from '@kvasir/control/network/address.ts';
import { cidrOf } from '@kvasir/control/network/subnet.ts';
import type { WorldRouter } from '@kvasir/control/network/world.ts';
import type { Executor } from './database.ts';
import { type NetworkRow, networks } from './networks.ts';
import { floatingAddresses, routerInterfaces, type RouterRow, routers } from './routers.ts';

/** Those near these hosts (undefined: all): with an interface on these networks, or with their gateway there. */
export async function readRouters(
  db: Executor,
  hostIds: readonly string[] | undefined,
  networkIds: ReadonlySet<string>,
): Promise<WorldRouter[]> {
  const all = await routers.select(db);
  if (all.length === 0) return [];
  const interfaces = Map.groupBy(await routerInterfaces.select(db), ({ routerId }) => routerId);
  const near = all.filter(
    (router) =>
      hostIds === undefined ||
      (router.gatewayHostId !== null && hostIds.includes(router.gatewayHostId)) ||
      (interfaces.get(router.id) ?? []).some(({ networkId }) => networkIds.has(networkId)),
  );
  const outside = near.flatMap(({ externalNetworkId }) => externalNetworkId ?? []);
  const external = new Map((await networks.select(db, { id: outside })).map((network) => [network.id, network]));
  const floating = await floatingAddresses.select(db, { networkId: outside });
  const targets = new Map(
    (await db.selectFrom('ports').select(['id', 'networkId']).where('id', 'in', portIdsOf(floating)).execute()).map(
      ({ id, networkId }) => [id, networkId],
    ),
  );
  return near.map((router) => {
    const own = (interfaces.get(router.id) ?? []).map(({ networkId, address, prefixLength }) => ({
      networkId,
      address,
      prefixLength,
    }));
    const connected = new Set(own.map(({ networkId }) => networkId));
    const leading = floating.flatMap(({ name, networkId, portId, fixedAddress }) => {
      const inside = portId === null ? undefined : targets.get(portId);
      if (networkId !== router.externalNetworkId || fixedAddress === null) return [];
      return inside === undefined || !connected.has(inside) ? [] : [{ address: name, fixedAddress, networkId: inside }];
    });
    const { id, name, macAddress } = router;
    const gateway = gatewayOf(router, external, leading);
    return { routerId: id, name, macAddress, interfaces: own, gateway };
  });
}

function gatewayOf(
  router: RouterRow,
  external: ReadonlyMap<string, NetworkRow>,
  floating: NonNullable<WorldRouter['gateway']>['floating'],
): WorldRouter['gateway'] {
  const { gatewayHostId, gatewayEnding, externalNetworkId, externalAddress, externalMacAddress, snat } = router;
  const network = externalNetworkId === null ? undefined : external.get(externalNetworkId);
  const address = externalAddress === null ? undefined : parseAddress(externalAddress);
  const subnet = address && network?.subnets.find((one) => contains(cidrOf(one), address));
  if (gatewayHostId === null || gatewayEnding) return null;
  if (network === undefined || externalAddress === null || subnet === undefined) return null;
  return {
    hostId: gatewayHostId,
    externalNetworkId: network.id,
    macAddress: externalMacAddress,
    address: externalAddress,
    prefixLength: cidrOf(subnet).prefixLength,
    nextHop: subnet.gateway,
    snat,
    floating,
  };
}

function portIdsOf(rows: readonly { readonly portId: string | null }[]): string[] {
  const ids = rows.flatMap(({ portId }) => portId ?? []);
  return ids.length === 0 ? [''] : ids;
}
