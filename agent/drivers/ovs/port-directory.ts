/** Who is behind a port's number, and what its network tells it. Pure: made anew with each slice. */
import type {
  NetworkSlice,
  SliceNetwork,
  SlicePort,
  SliceRouter,
  SliceSubnet,
} from '@kvasir/api/agent/network-slice.ts';
import { type Numbers, portKey } from '@kvasir/ovs/compile/numbers.ts';
import { serviceAddress } from '@kvasir/ovs/compile/pipeline.ts';
import type { DhcpLease } from './responders/dhcp.ts';
import type { DnsZone } from './responders/dns.ts';
import { ipv4Bytes, ipv6Bytes } from './responders/frame.ts';
import type { Advertisement } from './responders/router-advertisement.ts';

export class PortDirectory {
  readonly #slice: NetworkSlice;
  readonly #ports: ReadonlyMap<number, SlicePort>;
  readonly #servicesMac: string;

  constructor(slice: NetworkSlice, numbers: Numbers, servicesMac: string) {
    this.#slice = slice;
    this.#servicesMac = servicesMac;
    this.#ports = new Map(
      slice.ports.flatMap((port): [number, SlicePort][] => {
        const number = numbers.ports[portKey(port)];
        return number === undefined ? [] : [[number, port]];
      }),
    );
  }

  port(number: number): SlicePort | undefined {
    return this.#ports.get(number);
  }

  network(port: SlicePort): SliceNetwork | undefined {
    return this.#slice.networks.find(({ networkId }) => networkId === port.networkId);
  }

  /** null: the network has no DHCP, or the port no address of its IPv4 subnet. */
  lease(port: SlicePort): DhcpLease | null {
    const network = this.network(port);
    const subnet = network?.subnets.find(({ cidr, dhcp }) => dhcp && !cidr.includes(':'));
    if (network === undefined || subnet === undefined) return null;
    const { prefix, prefixLength } = parted(subnet);
    const address = port.addresses.find((item) => !item.includes(':') && contains(prefix, prefixLength, item));
    if (address === undefined) return null;
    return {
      macAddress: port.macAddress,
      address,
      prefixLength,
      gateway: subnet.gateway,
      dnsServers: [
        ...(network.domain === null ? [] : [serviceAddress]),
        ...subnet.dnsServers.filter((server) => !server.includes(':')),
      ],
      hostName: port.name,
      domain: network.domain,
      mtu: network.mtu,
      leaseSeconds: subnet.leaseSeconds,
      server: { address: serviceAddress, macAddress: this.#servicesMac },
      servesMetadata: true,
    };
  }

  /** null: the network has no IPv6 subnet that is to be advertised. */
  advertisement(port: SlicePort): Advertisement | null {
    const network = this.network(port);
    const subnet = network?.subnets.find(({ cidr, dhcp }) => dhcp && cidr.includes(':'));
    if (network === undefined || subnet === undefined) return null;
    const router = this.#routerOf(network, subnet);
    return {
      macAddress: router?.macAddress ?? this.#servicesMac,
      isRouter: router !== undefined,
      ...parted(subnet),
      mtu: network.mtu,
      dnsServers: subnet.dnsServers.filter((server) => server.includes(':')),
    };
  }

  /** What is known of its network's names to a port: those of its own project. */
  zone(port: SlicePort): DnsZone {
    const network = this.network(port);
    const here = this.#slice.ports.filter(({ networkId }) => networkId === port.networkId);
    const hosts = [...here, ...(network?.remotePorts ?? [])].flatMap(({ name, addresses, projectId }) =>
      name === null || projectId !== port.projectId ? [] : [{ name, addresses }],
    );
    return { domain: network?.domain ?? null, hosts };
  }

  #routerOf(network: SliceNetwork, subnet: SliceSubnet): SliceRouter | undefined {
    return this.#slice.routers.find(({ interfaces }) =>
      interfaces.some(({ networkId, address }) => networkId === network.networkId && address === subnet.gateway),
    );
  }
}

function parted({ cidr }: SliceSubnet): { readonly prefix: string; readonly prefixLength: number } {
  const [prefix = '', length = ''] = cidr.split('/');
  return { prefix, prefixLength: Number(length) };
}

function contains(prefix: string, prefixLength: number, address: string): boolean {
  const bytes = address.includes(':') ? ipv6Bytes : ipv4Bytes;
  const digits = (text: string): string => [...bytes(text)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return digits(prefix).slice(0, prefixLength) === digits(address).slice(0, prefixLength);
}
