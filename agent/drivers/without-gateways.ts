/** The same slice on a host that does not translate: routers go on between the networks, nothing leads out from here. */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';

export function withoutGateways(slice: NetworkSlice): NetworkSlice {
  const routers = slice.routers.map((router) =>
    router.gateway?.here === true ? { ...router, gateway: null } : router,
  );
  return { ...slice, routers };
}
