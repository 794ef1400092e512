/**
 * What one host is told of the distributed switch: the networks that have ports here or that a router connects with those, whole,
 * and of everything else only what these need.
 *
 * Invariants: a port is `active` where its VM is and `incoming` where it is on the way to, and everybody else feeds both; a
 * port that is here and also elsewhere stands in both lists. Equal worlds make equal slices, to the byte.
 */
import type {
  NetworkSlice,
  SliceNetwork,
  SlicePort,
  SliceRemotePort,
  SliceRouter,
} from '@kvasir/api/agent/network-slice.ts';
import type { SwitchWorld, WorldNetwork, WorldPort, WorldRouter } from './world.ts';

export class Slices {
  readonly #world: SwitchWorld;
  readonly #tunnels: ReadonlyMap<string, string | null>;
  readonly #networks: ReadonlyMap<string, WorldNetwork>;
  /** What is the same for many hosts is made once. */
  readonly #memberVteps = new Map<string, readonly string[]>();
  readonly #settled = new Map<WorldPort, SliceRemotePort[]>();
  readonly #portsByHost = new Map<string, WorldPort[]>();
  readonly #portsByNetwork: ReadonlyMap<string, readonly WorldPort[]>;

  constructor(world: SwitchWorld) {
    this.#world = world;
    this.#tunnels = new Map(world.hosts.map(({ hostId, tunnelAddress }) => [hostId, tunnelAddress]));
    this.#networks = new Map(world.networks.map((network) => [network.networkId, network]));
    const ports = [...world.ports].sort(byKey(({ nicId, guestVlan }) => `${nicId}/${guestVlan ?? ''}`));
    this.#portsByNetwork = Map.groupBy(ports, ({ networkId }) => networkId);
    for (const port of ports) {
      for (const hostId of hostsOf(port)) {
        const there = this.#portsByHost.get(hostId);
        if (there === undefined) this.#portsByHost.set(hostId, [port]);
        else there.push(port);
      }
    }
  }

  of(hostId: string): NetworkSlice {
    const ports = (this.#portsByHost.get(hostId) ?? []).map((port) => portAt(port, hostId));
    const hosted = new Set(ports.map(({ networkId }) => networkId));
    const routers = this.#world.routers.filter(
      ({ interfaces, gateway }) =>
        gateway?.hostId === hostId || interfaces.some(({ networkId }) => hosted.has(networkId)),
    );
    const networkIds = new Set(hosted);
    for (const { interfaces, gateway } of routers) {
      for (const { networkId } of interfaces) networkIds.add(networkId);
      if (gateway?.hostId === hostId) networkIds.add(gateway.externalNetworkId);
    }
    const networks = [...networkIds].sort().flatMap((id) => this.#networks.get(id) ?? []);
    const groupIds = new Set(ports.filter(({ filtered }) => filtered).flatMap((port) => port.securityGroupIds));
    const groups = this.#world.groups
      .filter(({ groupId }) => groupIds.has(groupId))
      .sort(byKey((group) => group.groupId));
    return {
      uplinks: this.#world.uplinks
        .filter((uplink) => uplink.hostId === hostId)
        .map(({ hostId: _hostId, ...uplink }) => uplink)
        .sort(byKey(({ uplinkId }) => uplinkId)),
      networks: networks.map((network) => this.#network(network, hostId)),
      ports,
      groups,
      addressSets: remoteGroups(groups).map((groupId) => ({
        groupId,
        addresses: [...(this.#world.addressSets.get(groupId) ?? [])].sort(),
      })),
      routers: routers.map((router) => this.#router(router, hostId)).sort(byKey(({ routerId }) => routerId)),
      mirrors: this.#world.mirrors.filter((mirror) => {
        const here = new Set(ports.map(({ nicId }) => nicId));
        const { sources, target } = mirror;
        const sees = 'networkId' in sources ? hosted.has(sources.networkId) : sources.nicIds.some((id) => here.has(id));
        return sees && ('remote' in target || here.has(target.nicId));
      }),
    };
  }

  #network(network: WorldNetwork, hostId: string): SliceNetwork {
    const ports = this.#portsByNetwork.get(network.networkId) ?? [];
    const vxlan = network.kind === 'vxlan';
    const own = this.#tunnels.get(hostId);
    // On a wire everybody finds everybody; elsewhere only names are of use here.
    const remotePorts =
      vxlan || network.domain !== null ? ports.flatMap((port) => this.#remote(port, hostId, vxlan)) : [];
    return {
      networkId: network.networkId,
      name: network.name,
      kind: network.kind,
      segment: network.segment,
      switchId: network.switchId,
      mtu: network.mtu,
      domain: network.domain,
      subnets: network.subnets.map((subnet) => ({ ...subnet, dnsServers: [...subnet.dnsServers] })),
      remotePorts,
      memberVteps: vxlan ? this.#members(network.networkId, ports).filter((vtep) => vtep !== own) : [],
      externalVteps: vxlan ? [...network.externalVteps] : [],
    };
  }

  #remote(port: WorldPort, hostId: string, vxlan: boolean): SliceRemotePort[] {
    // Most are at one place, and look the same from everywhere else.
    const settled = port.incomingHostId === null;
    if (settled && (port.hostId === null || port.hostId === hostId)) return [];
    const known = settled ? this.#settled.get(port) : undefined;
    if (known !== undefined) return known;
    const elsewhere = hostsOf(port).filter((other) => other !== hostId);
    if (elsewhere.length === 0) return [];
    const { macAddress, addresses, name } = port;
    const remote = [
      { macAddress, addresses: [...addresses], name, vteps: vxlan ? this.#vteps(elsewhere, hostId) : [] },
    ];
    if (settled) this.#settled.set(port, remote);
    return remote;
  }

  #members(networkId: string, ports: readonly WorldPort[]): readonly string[] {
    const known = this.#memberVteps.get(networkId);
    if (known !== undefined) return known;
    const vteps = [...new Set(ports.flatMap(hostsOf))].flatMap((id) => this.#tunnels.get(id) ?? []);
    const members = [...new Set(vteps)].sort();
    this.#memberVteps.set(networkId, members);
    return members;
  }

  #vteps(hostIds: Iterable<string>, hostId: string): string[] {
    const own = this.#tunnels.get(hostId);
    const vteps = [...hostIds].filter((id) => id !== hostId).flatMap((id) => this.#tunnels.get(id) ?? []);
    return [...new Set(vteps)].filter((vtep) => vtep !== own).sort();
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

/** The slice of one host. For many hosts of one world: `new Slices(world)`. */
export function sliceFor(hostId: string, world: SwitchWorld): NetworkSlice {
  return new Slices(world).of(hostId);
}

function hostsOf({ hostId, incomingHostId }: WorldPort): string[] {
  const ids = hostId === null ? [] : [hostId];
  return incomingHostId === null || incomingHostId === hostId ? ids : [...ids, incomingHostId];
}

function portAt({ hostId, incomingHostId: _incoming, ...port }: WorldPort, here: string): SlicePort {
  return {
    ...port,
    addresses: [...port.addresses],
    securityGroupIds: [...port.securityGroupIds].sort(),
    // Where no address is known, none can be held against it.
    antiSpoofing: port.antiSpoofing && port.addresses.length > 0,
    phase: hostId === here ? 'active' : 'incoming',
  };
}

function remoteGroups(groups: NetworkSlice['groups']): string[] {
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
