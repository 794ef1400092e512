/** Security-group rules as matches. A rule that contradicts itself matches nothing: fail closed. */
import { type Family, parseCidr } from './addresses.ts';
import type { FieldMatch, FieldName } from '../flow.ts';
import type { Fields } from './flow-set.ts';
import { destination, ip, protocol, source, within } from './matches.ts';
import type { Rule } from './slice.ts';

const portFields: Readonly<Record<number, FieldName>> = {
  [protocol.tcp]: 'tcp_dst',
  [protocol.udp]: 'udp_dst',
  [protocol.sctp]: 'sctp_dst',
};

/** The field that holds the other end's address. */
export function remoteField({ direction, family }: Pick<Rule, 'direction' | 'family'>): FieldName {
  return (direction === 'in' ? source : destination)[family];
}

/** Protocol, ports and ICMP type: several matches for a range of ports; none for a rule that contradicts itself. */
export function serviceMatches(rule: Rule): Fields[] {
  const base: Fields = { ...ip[rule.family], ip_proto: rule.protocol ?? undefined };
  if (rule.ports !== null && rule.icmp !== null) return [];
  if (rule.ports !== null) {
    const field = portFields[rule.protocol ?? -1];
    if (field === undefined) return [];
    return portMasks(rule.ports.from, rule.ports.to).map((match) => ({ ...base, [field]: match }));
  }
  if (rule.icmp === null) return [base];
  return icmpMatches(rule.icmp, rule, base);
}

function icmpMatches({ type, code }: NonNullable<Rule['icmp']>, rule: Rule, base: Fields): Fields[] {
  const icmp: Readonly<Record<Family, number>> = { ipv4: protocol.icmp, ipv6: protocol.icmpv6 };
  if (rule.protocol !== icmp[rule.family]) return [];
  return rule.family === 'ipv4'
    ? [{ ...base, icmpv4_type: type, icmpv4_code: code ?? undefined }]
    : [{ ...base, icmpv6_type: type, icmpv6_code: code ?? undefined }];
}

/** null: a CIDR of the other family, so the rule matches nothing. */
export function cidrMatch(rule: Rule): Fields | null {
  if (rule.remote === null || !('cidr' in rule.remote)) return {};
  const cidr = parseCidr(rule.remote.cidr);
  return cidr.family === rule.family ? { [remoteField(rule)]: within(cidr) } : null;
}

/** The fewest value/mask pairs that are exactly the ports `from` to `to`. */
export function portMasks(from: number, to: number): FieldMatch[] {
  const masks: FieldMatch[] = [];
  let start = from;
  while (start <= to) {
    let size = start === 0 ? 0x10000 : start & -start;
    while (start + size - 1 > to) size /= 2;
    const mask = 0x10000 - size;
    masks.push(size === 1 ? { value: BigInt(start) } : { value: BigInt(start), mask: BigInt(mask) });
    start += size;
  }
  return masks;
}
