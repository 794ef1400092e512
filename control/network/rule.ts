/** Rules of security groups: from what a person asks to protocol numbers and ranges, or what is wrong with it. */
import { type Family, formatCidr, parseCidr } from './address.ts';

export interface RuleRequest {
  readonly direction: 'in' | 'out';
  readonly family?: Family | undefined;
  /** A name or a number. */
  readonly protocol?: string | undefined;
  readonly portFrom?: number | undefined;
  readonly portTo?: number | undefined;
  readonly icmpType?: number | undefined;
  readonly icmpCode?: number | undefined;
  readonly remoteCidr?: string | undefined;
  /** A remote group is asked for. */
  readonly remoteGroup?: boolean | undefined;
}

export interface PlannedRule {
  readonly direction: 'in' | 'out';
  readonly family: Family;
  readonly protocol: number | null;
  readonly portFrom: number | null;
  readonly portTo: number | null;
  readonly icmpType: number | null;
  readonly icmpCode: number | null;
  readonly remoteCidr: string | null;
}

export interface RuleFault {
  readonly field: string;
  readonly message: string;
}

export const protocolNumbers: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };
const withPorts: readonly (number | null)[] = [6, 17, 132];
const icmpOf = { ipv4: 1, ipv6: 58 } as const satisfies Record<Family, number>;

/** `6` -> `tcp`; numbers without a name stay numbers. */
export function protocolName(protocol: number): string {
  return Object.entries(protocolNumbers).find(([, number]) => number === protocol)?.[0] ?? String(protocol);
}

export function planRule(asked: RuleRequest): PlannedRule | RuleFault {
  const protocol = asked.protocol === undefined ? null : (protocolNumbers[asked.protocol] ?? Number(asked.protocol));
  if (protocol !== null && protocol > 255)
    return { field: 'protocol', message: 'is no IP protocol: 255 is the largest' };
  const cidr = asked.remoteCidr === undefined ? undefined : parseCidr(asked.remoteCidr);
  if (asked.remoteCidr !== undefined && cidr === undefined) {
    return { field: 'remoteCidr', message: 'is no address block (address/prefix, no bits behind the prefix)' };
  }
  if (cidr !== undefined && asked.remoteGroup === true) {
    return { field: 'remoteGroup', message: 'excludes remoteCidr: a rule has one other end' };
  }
  const family = asked.family ?? cidr?.family ?? (protocol === icmpOf.ipv6 ? 'ipv6' : 'ipv4');
  if (cidr !== undefined && cidr.family !== family) {
    return { field: 'remoteCidr', message: `is ${cidr.family}, but the rule is for ${family}` };
  }
  if (protocol === icmpOf[family === 'ipv4' ? 'ipv6' : 'ipv4']) {
    return { field: 'protocol', message: `does not exist in ${family}: take ${family === 'ipv4' ? 'icmp' : 'icmpv6'}` };
  }
  const fault = portFault(asked, protocol) ?? icmpFault(asked, protocol, family);
  if (fault !== undefined) return fault;
  const portFrom = asked.portFrom ?? null;
  return {
    direction: asked.direction,
    family,
    protocol,
    portFrom,
    portTo: asked.portTo ?? portFrom,
    icmpType: asked.icmpType ?? null,
    icmpCode: asked.icmpCode ?? null,
    remoteCidr: cidr === undefined ? null : formatCidr(cidr),
  };
}

export function isRuleFault(planned: PlannedRule | RuleFault): planned is RuleFault {
  return 'field' in planned;
}

function portFault({ portFrom, portTo }: RuleRequest, protocol: number | null): RuleFault | undefined {
  if (portFrom === undefined && portTo === undefined) return undefined;
  if (portFrom === undefined) return { field: 'portTo', message: 'needs portFrom' };
  if (!withPorts.includes(protocol)) return { field: 'portFrom', message: 'needs the protocol tcp, udp or sctp' };
  if (portTo !== undefined && portTo < portFrom) return { field: 'portTo', message: 'is below portFrom' };
  return undefined;
}

function icmpFault(
  { icmpType, icmpCode }: RuleRequest,
  protocol: number | null,
  family: Family,
): RuleFault | undefined {
  if (icmpType === undefined && icmpCode === undefined) return undefined;
  if (icmpType === undefined) return { field: 'icmpCode', message: 'needs icmpType' };
  if (protocol !== icmpOf[family]) return { field: 'icmpType', message: 'needs the protocol icmp or icmpv6' };
  return undefined;
}
