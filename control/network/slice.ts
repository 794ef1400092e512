/**
 * What one host is told of the distributed switch: the networks that have ports here or that a router connects with those, whole,
 * and of everything else only what these need. What hosts have in common is in documents, made once for all of them.
 *
 * Invariants: a port is `active` where its VM is and `incoming` where it is on the way to, and everybody else feeds both; a
 * port that is here and also elsewhere stands in both lists. Equal worlds make equal slices, to the byte.
 */
import type { NetworkSlice, SliceGroup, SlicePort, SliceRouter } from '@kvasir/api/agent/network-slice.ts';
import {
  type NetworkMember,
  type OutlineNetwork,
  readOutline,
  type SliceDocument,
  type SliceOutline,
} from '@kvasir/api/agent/slice-outline.ts';
import { pieces } from './documents.ts';
import type { SwitchWorld, WorldNetwork, WorldPort, WorldRouter } from './world.ts';

/** About so many items in a document: what one change costs each host, against the digests that every outline names. */
const membersInDocument = 16;
const addressesInDocument = 32;

export interface HostSlice {
  readonly outline: SliceOutline;
  /** Of all the outlines of this world that were made until now. */
  readonly documents: ReadonlyMap<string, SliceDocument>;
}

/** Short for a text, and another one for each other text. */
export type Digest = (text: string) => string;

export class Slices {
  readonly #world: SwitchWorld;
  readonly #digest: Digest;
  readonly #tunnels: ReadonlyMap<string, string | null>;
  readonly #networks: ReadonlyMap<string, WorldNetwork>;
  readonly #groups: ReadonlyMap<string, SliceGroup>;
  readonly #uplinks: ReadonlyMap<string, SwitchWorld['uplinks']>;
  readonly #portsByHost = new Map<string, WorldPort[]>();
  readonly #portsByNetwork: ReadonlyMap<string, readonly WorldPort[]>;
  readonly #routersByNetwork = new Map<string, WorldRouter[]>();
  readonly #routersByGateway: ReadonlyMap<string, readonly WorldRouter[]>;
  readonly #documents = new Map<string, SliceDocument>();
  /** What is the same for many hosts is made once. */
  readonly #outlines = new Map<string, OutlineNetwork>();
  readonly #groupDigests = new Map<string, string>();
  readonly #addressParts = new Map<string, string[]>();

  constructor(world: SwitchWorld, digest: Digest) {
    this.#world = world;
    this.#digest = digest;
    this.#tunnels = new Map(world.hosts.map(({ hostId, tunnelAddress }) => [hostId, tunnelAddress]));
    this.#networks = new Map(world.networks.map((network) => [network.networkId, network]));
    this.#groups = new Map(world.groups.map((group) => [group.groupId, group]));
    this.#uplinks = Map.groupBy(world.uplinks, ({ hostId }) => hostId);
    const ports = [...world.ports].sort(byKey(portKey));
    this.#portsByNetwork = Map.groupBy(ports, ({ networkId }) => networkId);
    for (const port of ports) for (const hostId of hostsOf(port)) addTo(this.#portsByHost, hostId, port);
    for (const router of world.routers) {
      for (const { networkId } of router.interfaces) addTo(this.#routersByNetwork, networkId, router);
    }
    this.#routersByGateway = Map.groupBy(world.routers, ({ gateway }) => gateway?.hostId ?? '');
  }

  of(hostId: string): HostSlice {
    const ports = (this.#portsByHost.get(hostId) ?? []).map((port) => portAt(port, hostId, this.#projectOf(port)));
    const hosted = new Set(ports.map(({ networkId }) => networkId));
    const routers = new Set([
      ...(this.#routersByGateway.get(hostId) ?? []),
      ...[...hosted].flatMap((networkId) => this.#routersByNetwork.get(networkId) ?? []),
    ]);
    const networkIds = new Set(hosted);
    for (const { interfaces, gateway } of routers) {
      for (const { networkId } of interfaces) networkIds.add(networkId);
      if (gateway?.hostId === hostId) networkIds.add(gateway.externalNetworkId);
    }
    const networks = [...networkIds].sort().flatMap((id) => this.#networks.get(id) ?? []);
    const groupIds = new Set(ports.filter(({ filtered }) => filtered).flatMap((port) => port.securityGroupIds));
    const groups = [...groupIds].sort().flatMap((id) => this.#groups.get(id) ?? []);
    const here = new Set(ports.map(({ nicId }) => nicId));
    const outline = {
      uplinks: (this.#uplinks.get(hostId) ?? [])
        .map(({ hostId: _hostId, ...uplink }) => uplink)
        .sort(byKey(({ uplinkId }) => uplinkId)),
      networks: networks.map((network) => this.#network(network)),
      ports,
      groups: groups.map((group) => this.#group(group)),
      addressSets: remoteGroups(groups).map((groupId) => ({ groupId, parts: this.#addresses(groupId) })),
      routers: [...routers].map((router) => this.#router(router, hostId)).sort(byKey(({ routerId }) => routerId)),
      mirrors: this.#world.mirrors.filter(({ sources, target }) => {
        const sees = 'networkId' in sources ? hosted.has(sources.networkId) : sources.nicIds.some((id) => here.has(id));
        return sees && ('remote' in target || here.has(target.nicId));
      }),
    };
    return { outline, documents: this.#documents };
  }

  #network(network: WorldNetwork): OutlineNetwork {
    const known = this.#outlines.get(network.networkId);
    if (known !== undefined) return known;
    const { kind, domain, externalVteps, subnets, shared: _shared, ...facts } = network;
    const vxlan = kind === 'vxlan';
    // On a wire everybody finds everybody; elsewhere only names are of use to others.
    const ports = vxlan || domain !== null ? (this.#portsByNetwork.get(network.networkId) ?? []) : [];
    // Those that are new stand together at the end.
    const placed = ports.filter((port) => hostsOf(port).length > 0).sort((a, b) => a.createdAt - b.createdAt);
    const outline = {
      ...facts,
      kind,
      domain,
      subnets: subnets.map((subnet) => ({ ...subnet, dnsServers: [...subnet.dnsServers] })),
      members: pieces(placed, membersInDocument, portKey).map((piece) =>
        this.#document({ members: piece.map((port) => this.#member(port)) }),
      ),
      externalVteps: vxlan ? [...externalVteps] : [],
    };
    this.#outlines.set(network.networkId, outline);
    return outline;
  }

  #member(port: WorldPort): NetworkMember {
    const places = hostsOf(port).map((hostId) => ({ hostId, vtep: this.#tunnels.get(hostId) ?? null }));
    const { macAddress, addresses, name } = port;
    return { macAddress, addresses: [...addresses], name, ...this.#projectOf(port), places };
  }

  /** Where it says whom a name is for. */
  #projectOf({ networkId, projectId }: WorldPort): { readonly projectId?: string } {
    const network = this.#networks.get(networkId);
    return network?.shared === true && network.domain !== null ? { projectId } : {};
  }

  #group(group: SliceGroup): string {
    const digest = this.#groupDigests.get(group.groupId) ?? this.#document({ group });
    this.#groupDigests.set(group.groupId, digest);
    return digest;
  }

  #addresses(groupId: string): string[] {
    const known = this.#addressParts.get(groupId);
    if (known !== undefined) return known;
    const addresses = [...(this.#world.addressSets.get(groupId) ?? [])].sort();
    const parts = pieces(addresses, addressesInDocument, (address) => address).map((piece) =>
      this.#document({ addresses: piece }),
    );
    this.#addressParts.set(groupId, parts);
    return parts;
  }

  #document(content: SliceDocument): string {
    const digest = this.#digest(JSON.stringify(content));
    this.#documents.set(digest, content);
    return digest;
  }

  #router({ gateway, ...router }: WorldRouter, hostId: string): SliceRouter {
    const vtep = gateway && this.#tunnels.get(gateway.hostId);
    // A gateway that no tunnel leads to is of use to itself only.
    const way = gateway && (vtep || gateway.hostId === hostId) ? gateway : null;
    const interfaces = router.interfaces.map((one) => ({ ...one }));
    if (way === null) return { ...router, interfaces, gateway: null };
    const { hostId: gatewayHostId, floating, ...facts } = way;
    const here = gatewayHostId === hostId;
    return {
      ...router,
      interfaces,
      gateway: { here, vtep: vtep ?? '0.0.0.0', ...facts, floating: floating.map((one) => ({ ...one })) },
    };
  }
}

/** The slice of one host as it reads it. For many hosts of one world: `new Slices(…)`. */
export function sliceFor(hostId: string, world: SwitchWorld): NetworkSlice {
  const { outline, documents } = new Slices(world, (text) => text).of(hostId);
  return readOutline(hostId, outline, documents);
}

function portKey({ nicId, guestVlan }: WorldPort): string {
  return `${nicId}/${guestVlan ?? ''}`;
}

function addTo<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}

function hostsOf({ hostId, incomingHostId }: WorldPort): string[] {
  const ids = hostId === null ? [] : [hostId];
  return incomingHostId === null || incomingHostId === hostId ? ids : [...ids, incomingHostId];
}

function portAt(
  { hostId, incomingHostId: _incoming, createdAt: _createdAt, projectId: _project, ...port }: WorldPort,
  here: string,
  of: { readonly projectId?: string },
): SlicePort {
  return {
    ...port,
    ...of,
    addresses: [...port.addresses],
    securityGroupIds: [...port.securityGroupIds].sort(),
    phase: hostId === here ? 'active' : 'incoming',
  };
}

function remoteGroups(groups: readonly SliceGroup[]): string[] {
  const ids = groups.flatMap(({ rules }) =>
    rules.flatMap(({ remote }) => (remote !== null && 'groupId' in remote ? [remote.groupId] : [])),
  );
  return [...new Set(ids)].sort();
}

function byKey<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [left, right] = [key(a), key(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  };
}
