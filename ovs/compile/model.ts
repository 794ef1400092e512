/**
 * The slice as the stages want it: sorted, resolved, with numbers instead of text. A port whose network is not in the slice does
 * not exist here, so nothing is programmed for it.
 */
import { type Address, parseAddress, parseMac } from './addresses.ts';
import { type Domain, domainsOf } from './domains.ts';
import type { LocalSwitch } from './local.ts';
import { portKey, profileKey } from './numbers.ts';
import type { Port, Router, Slice } from './slice.ts';

/** A port that can be plugged in here. */
export interface LocalPort {
  readonly key: string;
  readonly port: Port;
  readonly number: number;
  /** null: not plugged in, or its cable is pulled: nothing comes or goes. */
  readonly openflowPort: number | null;
  readonly domain: Domain;
  readonly mac: bigint;
  readonly addresses: readonly Address[];
  /** null: not filtered. */
  readonly profile: number | null;
}

export interface Model {
  readonly slice: Slice;
  readonly local: LocalSwitch;
  /** By network; networks on the same wire share one. */
  readonly domainOf: ReadonlyMap<string, Domain>;
  readonly domains: readonly Domain[];
  readonly ports: readonly LocalPort[];
  readonly routers: readonly (Router & { readonly number: number; readonly mac: bigint })[];
}

export function modelOf(slice: Slice, local: LocalSwitch): Model {
  const domainOf = domainsOf(slice, local);
  const ports: LocalPort[] = [];
  for (const port of sortedBy(slice.ports, portKey)) {
    const key = portKey(port);
    const domain = domainOf.get(port.networkId);
    const number = local.numbers.ports[key];
    if (port.hardware || domain === undefined || number === undefined) continue;
    ports.push({
      key,
      port,
      number,
      openflowPort: port.connected ? (local.nicPorts[port.nicId] ?? null) : null,
      domain,
      mac: parseMac(port.macAddress),
      addresses: port.addresses.map(parseAddress),
      profile: port.filtered ? (local.numbers.profiles[profileKey(port)] ?? 0) : null,
    });
  }
  const routers = sortedBy(slice.routers, (router) => router.routerId).flatMap((router) => {
    const number = local.numbers.routers[router.routerId];
    return number === undefined ? [] : [{ ...router, number, mac: parseMac(router.macAddress) }];
  });
  return { slice, local, domainOf, domains: [...new Set(domainOf.values())], ports, routers };
}

export type PluggedPort = LocalPort & { readonly openflowPort: number };

export function plugged(model: Model): PluggedPort[] {
  return model.ports.filter((port): port is PluggedPort => port.openflowPort !== null);
}

export function sortedBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, key: key(item) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ item }) => item);
}
