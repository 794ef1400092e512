/**
 * Addresses that a gateway here gave up: connections through them must be cut, because connection tracking goes on translating what it
 * once began, also when the address is another project's by now.
 */
import type { NetworkSlice, SliceRouter } from '@kvasir/api/agent/network-slice.ts';

/** By router: addresses that it translated to or from and does not, or not for the same, any more. `all`: it has nothing left here. */
export type LostTranslations = ReadonlyMap<string, readonly string[] | 'all'>;

export function lostTranslations(before: NetworkSlice, now: NetworkSlice): LostTranslations {
  const later = new Map(now.routers.map((router) => [router.routerId, router]));
  const lost = new Map<string, readonly string[] | 'all'>();
  for (const router of before.routers) {
    const still = later.get(router.routerId);
    // The zone of a router that is gone is flushed as such.
    if (router.gateway?.here !== true || still === undefined) continue;
    if (still.gateway?.here !== true) {
      lost.set(router.routerId, 'all');
      continue;
    }
    const kept = new Set(translations(still).map(({ text }) => text));
    const gone = translations(router).flatMap(({ address, text }) => (kept.has(text) ? [] : [address]));
    if (gone.length > 0) lost.set(router.routerId, [...new Set(gone)]);
  }
  return lost;
}

function translations({ gateway }: SliceRouter) {
  if (gateway === null) return [];
  const floating = gateway.floating.map(({ address, fixedAddress, networkId }) => ({
    address,
    text: `${address} ${fixedAddress} ${networkId}`,
  }));
  return [...floating, { address: gateway.address, text: `${gateway.address} ${gateway.snat}` }];
}

/** The lines of a dump of connections that lead to one of these addresses, one way or the other. */
export function leadingTo(dump: string, addresses: readonly string[]): string {
  const ends = addresses.flatMap((address) => [`dst=${address},`, `dst=${address})`]);
  return dump
    .split('\n')
    .filter((line) => ends.some((end) => line.includes(end)))
    .join('\n');
}
