/**
 * Layer-2 domains: what shares broadcasts. Usually a network; several flat networks, or networks of one VLAN, on the same uplink are
 * one wire, so they are one domain here too, or the switch would part what the cable joins.
 *
 * A domain knows where each MAC is and who has which address: of ports here, of those elsewhere, and of routers.
 */
import { type Address, linkLocal, parseAddress, parseMac } from './addresses.ts';
import type { LocalSwitch } from './local.ts';
import { portKey } from './numbers.ts';
import type { Network, Slice } from './slice.ts';

/** Where frames for a MAC go; more than one place while a VM moves. */
export interface Whereabouts {
  /** Numbers of ports here. */
  readonly ports: number[];
  readonly vteps: string[];
  /** It is (also still) somewhere behind the uplink. */
  uplink: boolean;
}

/** An address of the domain and the MAC that answers for it. */
export interface Owner extends Address {
  readonly mac: bigint;
  /** One for each address and MAC. */
  readonly key: string;
}

export interface Domain {
  readonly networkIds: readonly string[];
  readonly number: number;
  /** null: not VXLAN, or no tunnel here. */
  readonly tunnel: { readonly port: number; readonly vni: number } | null;
  /** `vlan` 0: untagged. */
  readonly uplink: { readonly port: number; readonly vlan: number; readonly reflects: boolean } | null;
  readonly memberVteps: readonly string[];
  readonly externalVteps: readonly string[];
  readonly hosts: ReadonlyMap<bigint, Whereabouts>;
  readonly owners: readonly Owner[];
  readonly dhcpv4: boolean;
  readonly routerAdvertisements: boolean;
}

/** By network. A network without a number is left out. */
export function domainsOf(slice: Slice, local: LocalSwitch): Map<string, Domain> {
  const wires = new Map<string, Network[]>();
  for (const network of [...slice.networks].sort((a, b) => (a.networkId < b.networkId ? -1 : 1))) {
    if (local.numbers.networks[network.networkId] === undefined) continue;
    const uplink = uplinkPort(network, local);
    const wire = uplink === null ? network.networkId : `${uplink}/${network.segment}`;
    wires.set(wire, [...(wires.get(wire) ?? []), network]);
  }
  const domains = [...wires.values()].map((networks) => domainOf(networks, slice, local));
  return new Map(domains.flatMap((domain) => domain.networkIds.map((id) => [id, domain])));
}

function uplinkPort(network: Network, local: LocalSwitch): number | null {
  if (network.kind === 'vxlan') return null;
  if (network.switchId !== null) return local.uplinkPorts[network.switchId] ?? null;
  return network.kind === 'flat' ? local.defaultUplinkPort : null;
}

function domainOf(networks: readonly Network[], slice: Slice, local: LocalSwitch): Domain {
  const [first] = networks as readonly [Network, ...Network[]];
  const networkIds = networks.map((network) => network.networkId);
  const uplink = uplinkPort(first, local);
  const vxlan = first.kind === 'vxlan' && local.tunnelPort !== null;
  const subnets = networks.flatMap((network) => network.subnets).filter((subnet) => subnet.dhcp);
  const bond = slice.uplinks.find((found) => found.switchId === first.switchId)?.bond;
  return {
    networkIds,
    number: local.numbers.networks[first.networkId] as number,
    tunnel: vxlan ? { port: local.tunnelPort, vni: first.segment } : null,
    uplink: uplink === null ? null : { port: uplink, vlan: first.segment, reflects: bond === 'balance-slb' },
    memberVteps: vxlan ? unique(networks.flatMap((network) => network.memberVteps)) : [],
    externalVteps: vxlan ? unique(networks.flatMap((network) => network.externalVteps)) : [],
    hosts: hostsOf(networks, slice, local, uplink !== null),
    owners: ownersOf(networks, slice),
    dhcpv4: subnets.some((subnet) => !subnet.cidr.includes(':')),
    routerAdvertisements: subnets.some((subnet) => subnet.cidr.includes(':')),
  };
}

function hostsOf(networks: readonly Network[], slice: Slice, local: LocalSwitch, hasUplink: boolean) {
  const hosts = new Map<bigint, Whereabouts>();
  const at = (mac: string): Whereabouts => {
    const found = hosts.get(parseMac(mac)) ?? { ports: [], vteps: [], uplink: false };
    hosts.set(parseMac(mac), found);
    return found;
  };
  for (const port of portsOf(networks, slice)) {
    const number = local.numbers.ports[portKey(port)];
    if (port.hardware) at(port.macAddress).uplink = hasUplink;
    else if (number !== undefined) {
      at(port.macAddress).ports.push(number);
      if (port.phase === 'incoming') at(port.macAddress).uplink = hasUplink;
    }
  }
  for (const remote of networks.flatMap((network) => network.remotePorts)) {
    const here = at(remote.macAddress);
    if (here.ports.length === 0) here.uplink = hasUplink;
    if (local.tunnelPort !== null && !hasUplink) here.vteps.push(...remote.vteps);
  }
  for (const { ports, vteps } of hosts.values()) {
    ports.sort((a, b) => a - b);
    vteps.splice(0, vteps.length, ...unique(vteps));
  }
  return new Map([...hosts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function ownersOf(networks: readonly Network[], slice: Slice): Owner[] {
  const owners = new Map<string, Owner>();
  const add = (mac: bigint, address: Address): void => {
    const key = `${address.family} ${address.value.toString(16).padStart(32, '0')} ${mac.toString(16)}`;
    owners.set(key, { ...address, mac, key });
  };
  const remote = networks.flatMap((network) => network.remotePorts);
  for (const { macAddress, addresses } of [...portsOf(networks, slice), ...remote]) {
    const mac = parseMac(macAddress);
    const parsed = addresses.map(parseAddress);
    for (const address of parsed) add(mac, address);
    if (parsed.some(({ family }) => family === 'ipv6')) add(mac, { family: 'ipv6', value: linkLocal(mac) });
  }
  const ids = new Set(networks.map((network) => network.networkId));
  for (const { macAddress, interfaces, gateway } of slice.routers) {
    const mac = parseMac(macAddress);
    for (const { networkId, address } of interfaces) {
      if (!ids.has(networkId)) continue;
      add(mac, parseAddress(address));
      if (address.includes(':')) add(mac, { family: 'ipv6', value: linkLocal(mac) });
    }
    if (gateway?.here !== true || !ids.has(gateway.externalNetworkId)) continue;
    for (const { address } of [gateway, ...gateway.floating]) add(parseMac(gateway.macAddress), parseAddress(address));
  }
  return [...owners.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function portsOf(networks: readonly Network[], slice: Slice) {
  const ids = new Set(networks.map((network) => network.networkId));
  return slice.ports.filter((port) => ids.has(port.networkId));
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)].sort();
}
