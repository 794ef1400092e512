/** What must hold for networks that a router connects. */
import { invalidField } from '@kvasir/api/errors.ts';
import { cidrOf, familyOf, firstOverlap } from '@kvasir/control/network/subnet.ts';
import type { Executor } from '../store/database.ts';
import { type NetworkRow, networks } from '../store/networks.ts';
import { routerInterfaces, routers } from '../store/routers.ts';

/**
 * Networks of one router do not overlap, and its interfaces have the prefix lengths of their subnets. `network` is as it
 * shall be. @throws invalid-request at `field`
 */
export async function checkRouted(db: Executor, network: NetworkRow, field: string): Promise<void> {
  const own = await routerInterfaces.select(db, { networkId: network.id });
  for (const { family, prefixLength } of own) {
    const subnet = network.subnets.find((one) => familyOf(one) === family);
    if (subnet === undefined || cidrOf(subnet).prefixLength !== prefixLength) {
      throw invalidField(
        field,
        `leave no ${family} subnet with the prefix length ${prefixLength}, which a router uses`,
      );
    }
  }
  const inside = own.map(({ routerId }) => routerId);
  const outside = (await routers.select(db, { externalNetworkId: network.id })).map(({ id }) => id);
  for (const routerId of new Set([...inside, ...outside])) await checkOverlaps(db, routerId, network, field);
}

/** The router's networks with `network` among them. @throws invalid-request at `field` */
export async function checkOverlaps(db: Executor, routerId: string, network: NetworkRow, field: string): Promise<void> {
  const router = await routers.get(db, routerId);
  const ids = new Set((await routerInterfaces.select(db, { routerId })).map(({ networkId }) => networkId));
  if (router.externalNetworkId !== null) ids.add(router.externalNetworkId);
  ids.delete(network.id);
  for (const other of await networks.select(db, { id: [...ids] })) {
    if (firstOverlap([...other.subnets, ...network.subnets]) === undefined) continue;
    throw invalidField(field, `overlaps network ${other.name}, which router ${router.name} also connects`);
  }
}
