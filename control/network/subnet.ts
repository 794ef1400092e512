/** Subnets of a network: what is wrong with one, and which address comes next. */
import {
  type Address,
  type Cidr,
  contains,
  type Family,
  formatAddress,
  formatCidr,
  lastOf,
  overlap,
  parseAddress,
  parseCidr,
  slaacAddress,
} from './address.ts';

export interface Subnet {
  readonly cidr: string;
  readonly gateway: string | null;
  /** IPv4: DHCP; IPv6: router advertisements. */
  readonly dhcp: boolean;
  readonly dnsServers: readonly string[];
  /** Addresses are given out from here, both ends included. */
  readonly allocationFrom: string;
  readonly allocationTo: string;
  readonly leaseSeconds: number;
}

export interface SubnetRequest {
  readonly cidr: string;
  /** undefined: the first address; null: none. */
  readonly gateway?: string | null | undefined;
  readonly dhcp?: boolean | undefined;
  readonly dnsServers?: readonly string[] | undefined;
  readonly allocationFrom?: string | undefined;
  readonly allocationTo?: string | undefined;
  readonly leaseSeconds?: number | undefined;
}

/** `path` below the subnet: `/gateway`. */
export interface SubnetFault {
  readonly path: string;
  readonly message: string;
}

const defaultLeaseSeconds = 86_400;
const linkLocal = [parseCidr('169.254.0.0/16')!, parseCidr('fe80::/10')!];

/** The whole subnet in its one form, or what is wrong with the request. */
export function planSubnet(request: SubnetRequest): Subnet | SubnetFault {
  const cidr = parseCidr(request.cidr);
  if (cidr === undefined) return { path: '/cidr', message: 'is no subnet (address/prefix, no bits behind the prefix)' };
  const { family } = cidr;
  const limits = family === 'ipv4' ? { least: 8, most: 30 } : { least: 16, most: 126 };
  if (cidr.prefixLength < limits.least || cidr.prefixLength > limits.most) {
    return { path: '/cidr', message: `needs a prefix length from ${limits.least} to ${limits.most}` };
  }
  const usable = usableOf(cidr);
  if (!isUnicast(cidr)) return { path: '/cidr', message: 'is no block of unicast addresses' };
  if (linkLocal.some((block) => overlap(block, cidr))) {
    return { path: '/cidr', message: 'has link-local addresses, which are every network’s own, metadata among them' };
  }
  const gateway = gatewayOf(request.gateway, { family, value: usable.from });
  if (gateway === undefined) return { path: '/gateway', message: 'is no address' };
  if (gateway !== null && !isUsable(cidr, gateway)) {
    return { path: '/gateway', message: `is not an address of ${formatCidr(cidr)}` };
  }
  const fromText = request.allocationFrom ?? formatAddress({ family, value: usable.from });
  const [from, to] = [
    parseAddress(fromText),
    parseAddress(request.allocationTo ?? formatAddress({ family, value: usable.to })),
  ];
  if (from === undefined || !isUsable(cidr, from)) {
    return { path: '/allocationFrom', message: `is not an address of ${formatCidr(cidr)}` };
  }
  if (to === undefined || !isUsable(cidr, to) || to.value < from.value) {
    return { path: '/allocationTo', message: `is not an address of ${formatCidr(cidr)} from ${fromText} on` };
  }
  const dhcp = request.dhcp ?? true;
  if (dhcp && family === 'ipv6' && cidr.prefixLength !== 64) {
    return { path: '/cidr', message: 'needs the prefix length 64 for router advertisements; or set dhcp to false' };
  }
  const dnsServers: string[] = [];
  for (const [index, server] of (request.dnsServers ?? []).entries()) {
    const parsed = parseAddress(server);
    if (parsed === undefined) return { path: `/dnsServers/${index}`, message: 'is no address' };
    if (parsed.family !== family)
      return { path: `/dnsServers/${index}`, message: `is not of ${family}, as the subnet is` };
    dnsServers.push(formatAddress(parsed));
  }
  return {
    cidr: formatCidr(cidr),
    gateway: gateway === null ? null : formatAddress(gateway),
    dhcp,
    dnsServers,
    allocationFrom: formatAddress(from),
    allocationTo: formatAddress(to),
    leaseSeconds: request.leaseSeconds ?? defaultLeaseSeconds,
  };
}

export function isFault(planned: Subnet | SubnetFault): planned is SubnetFault {
  return 'path' in planned;
}

export function cidrOf(subnet: Pick<Subnet, 'cidr'>): Cidr {
  const cidr = parseCidr(subnet.cidr);
  if (cidr === undefined) throw new Error(`not a subnet: ${subnet.cidr}`);
  return cidr;
}

export function familyOf(subnet: Pick<Subnet, 'cidr'>): Family {
  return subnet.cidr.includes(':') ? 'ipv6' : 'ipv4';
}

/** The first pair of subnets that share addresses, by their places in the list. */
export function firstOverlap(subnets: readonly Pick<Subnet, 'cidr'>[]): readonly [number, number] | undefined {
  const cidrs = subnets.map(cidrOf);
  for (let later = 1; later < cidrs.length; later += 1) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      if (overlap(cidrs[earlier]!, cidrs[later]!)) return [earlier, later];
    }
  }
  return undefined;
}

/** Whether a port may have it: inside, and not the first or last of an IPv4 block. */
export function isUsable(cidr: Cidr, address: Address): boolean {
  const { from, to } = usableOf(cidr);
  return contains(cidr, address) && address.value >= from && address.value <= to;
}

/** Whether the subnet gives it out. */
export function isInPool({ allocationFrom, allocationTo }: Subnet, { family, value }: Address): boolean {
  const [from, to] = [parseAddress(allocationFrom)!, parseAddress(allocationTo)!];
  return family === from.family && value >= from.value && value <= to.value;
}

/**
 * Addresses to try for a new port, best first, at most `count`: from the place `start` of the pool on, around its end. The
 * gateway is left out. In IPv6 with router advertisements the guest chooses by its MAC, and so do we.
 */
export function candidates(subnet: Subnet, macAddress: string, start: number, count: number): string[] {
  const cidr = cidrOf(subnet);
  const { family } = cidr;
  if (family === 'ipv6' && subnet.dhcp) return start === 0 ? [formatAddress(slaacAddress(cidr, macAddress))] : [];
  const from = parseAddress(subnet.allocationFrom)!.value;
  const size = parseAddress(subnet.allocationTo)!.value - from + 1n;
  const some = size < BigInt(count) ? Number(size) : count;
  return Array.from({ length: some }, (_, index) => {
    const value = from + ((BigInt(start) + BigInt(index)) % size);
    return formatAddress({ family, value });
  }).filter((address) => address !== subnet.gateway);
}

/** How many addresses the pool has, as far as a number tells. */
export function poolSize(subnet: Subnet): number {
  const from = parseAddress(subnet.allocationFrom)!.value;
  return Number(parseAddress(subnet.allocationTo)!.value - from + 1n);
}

function gatewayOf(asked: string | null | undefined, first: Address): Address | null | undefined {
  if (asked === undefined) return first;
  return asked === null ? null : parseAddress(asked);
}

function usableOf(cidr: Cidr): { from: bigint; to: bigint } {
  const last = lastOf(cidr);
  return { from: cidr.first + 1n, to: cidr.family === 'ipv4' ? last - 1n : last };
}

function isUnicast({ family, first }: Cidr): boolean {
  const top = family === 'ipv4' ? Number(first >> 24n) : Number(first >> 120n);
  return family === 'ipv4' ? top > 0 && top < 224 && top !== 127 : top !== 0xff && top !== 0;
}
