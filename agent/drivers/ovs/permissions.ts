/** What the security groups of a slice allow, asked for a connection: the same answer as the flows that are made of them. */
import type { NetworkSlice, SlicePort, SliceRule } from '@kvasir/api/agent/network-slice.ts';
import { parseAddress, parseCidr, prefixMask } from '@kvasir/ovs/compile/addresses.ts';
import { Strangers } from '@kvasir/ovs/compile/strangers.ts';
import type { Connection } from './connections.ts';

const withPorts: readonly number[] = [6, 17, 132];
const icmpOf = { ipv4: 1, ipv6: 58 } as const;

export class Permissions {
  readonly #rules: ReadonlyMap<string, readonly SliceRule[]>;
  readonly #members: ReadonlyMap<string, ReadonlySet<string>>;
  readonly #strangers: Strangers;

  constructor(slice: Pick<NetworkSlice, 'ports' | 'networks' | 'groups' | 'addressSets'>) {
    this.#strangers = new Strangers(slice);
    this.#rules = new Map(slice.groups.map(({ groupId, rules }) => [groupId, rules]));
    this.#members = new Map(slice.addressSets.map(({ groupId, addresses }) => [groupId, new Set(addresses)]));
  }

  /** Whether the connection may be opened in the direction in which it was; false where that is not known. */
  allow(port: SlicePort, connection: Connection): boolean {
    if (!port.filtered) return true;
    return port.securityGroupIds.some((groupId) =>
      (this.#rules.get(groupId) ?? []).some((rule) => this.#allows(rule, connection, port)),
    );
  }

  #allows(rule: SliceRule, connection: Connection, port: SlicePort): boolean {
    const { opened, protocol, source, destination, destinationPort, icmp } = connection;
    const remote = parseAddress(opened === 'in' ? source : destination);
    if (rule.direction !== opened || rule.family !== remote.family) return false;
    if (rule.protocol !== null && rule.protocol !== protocol) return false;
    if (rule.ports !== null) {
      const { from, to } = rule.ports;
      if (!withPorts.includes(rule.protocol ?? -1) || destinationPort < from || destinationPort > to) return false;
    }
    if (rule.icmp !== null) {
      const { type, code } = rule.icmp;
      if (rule.ports !== null || rule.protocol !== icmpOf[rule.family] || icmp?.type !== type) return false;
      if (code !== null && icmp.code !== code) return false;
    }
    if (rule.remote === null) return true;
    if ('groupId' in rule.remote) {
      const address = opened === 'in' ? source : destination;
      return this.#isMember(rule.remote.groupId, address) && !this.#strangers.has(port, remote);
    }
    const cidr = parseCidr(rule.remote.cidr);
    return cidr.family === remote.family && (remote.value & prefixMask(cidr.family, cidr.prefixLength)) === cidr.value;
  }

  #isMember(groupId: string, address: string): boolean {
    const members = this.#members.get(groupId);
    if (members === undefined) return false;
    if (members.has(address)) return true;
    // IPv6 may be written in several ways.
    if (!address.includes(':')) return false;
    const { value } = parseAddress(address);
    return [...members].some((member) => member.includes(':') && parseAddress(member).value === value);
  }
}
