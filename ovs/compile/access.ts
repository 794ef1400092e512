/**
 * Tables 30 to 33 (out of a port) and 50 to 53 (into a port): security groups, stateful. Each port has a zone of its own for its connections,
 * in both directions. What belongs to a known connection passes, what opens one needs a rule, the rest is dropped under a cookie
 * of the port. Ports with the same groups share the rules' flows (their profile); a port that is not filtered is not tracked.
 *
 * Past the rules go only: ARP; neighbour discovery and multicast listeners, without which IPv6 does not work (never routed, which the
 * hop limit shows); DHCP with a server on the physical network.
 */
import { type Address, parseAddress } from './addresses.ts';
import { resubmit, set } from './actions.ts';
import { type AddressesOf, allowGroups, ConjunctionIds, type GroupRule, type Stage } from './conjunctions.ts';
import { cookieOf } from './cookies.ts';
import type { Fields, FlowSet } from './flow-set.ts';
import { arp, dhcpReply, dhcpRequest, dhcpv6Reply, dhcpv6Request, ethernet, icmpv6, ip, tracked } from './matches.ts';
import { type LocalPort, type Model, plugged, sortedBy } from './model.ts';
import { register, table } from './pipeline.ts';
import { cidrMatch, remoteField, serviceMatches } from './rule-match.ts';
import { openSessions, refuseCut, type SessionStage } from './sessions.ts';
import type { Rule } from './slice.ts';
import { Strangers } from './strangers.ts';
import { profileKey } from './numbers.ts';

interface Direction extends SessionStage {
  readonly track: number;
  readonly tellApart: number;
}

const directions: readonly Direction[] = [
  {
    rules: 'out',
    track: table.trackOut,
    allow: table.allowOut,
    tellApart: table.tellApartOut,
    open: table.openOut,
    next: table.enterRouter,
    port: register.from,
    denied: 'denied-out',
  },
  {
    rules: 'in',
    track: table.trackIn,
    allow: table.allowIn,
    tellApart: table.tellApartIn,
    open: table.openIn,
    next: table.output,
    port: register.to,
    denied: 'denied-in',
  },
];

export function access(model: Model, flows: FlowSet): void {
  const ids = new ConjunctionIds();
  const sets = new Map(model.slice.addressSets.map((set) => [set.groupId, set.addresses.map(parseAddress)]));
  const addressesOf: AddressesOf = (groupId, family) =>
    (sets.get(groupId) ?? []).filter((address) => address.family === family).map(({ value }) => value);
  const profiles = rulesOfProfiles(model);
  const strangers = new Strangers(model.slice);
  for (const direction of directions) {
    pastTheRules(model, direction, flows);
    openSessions(direction, flows);
    for (const port of plugged(model)) {
      track(port, direction, flows);
      const members = remoteGroups(profiles.get(port.profile ?? 0) ?? [], direction).flatMap(
        (id) => sets.get(id) ?? [],
      );
      refuseStrangers(port, members, strangers, direction, flows);
    }
    allow(profiles, addressesOf, direction, ids, flows);
  }
}

function remoteGroups(rules: readonly Rule[], direction: Direction): string[] {
  const ids = rules.flatMap(({ direction: of, remote }) =>
    of === direction.rules && remote !== null && 'groupId' in remote ? [remote.groupId] : [],
  );
  return [...new Set(ids)];
}

/** After the rules for anybody and for blocks of addresses, before those for groups. */
function refuseStrangers(
  port: LocalPort,
  members: readonly Address[],
  strangers: Strangers,
  { rules, allow, port: register, denied }: Direction,
  flows: FlowSet,
): void {
  for (const address of members) {
    if (!strangers.has(port.port, address)) continue;
    const { family, value } = address;
    const remote = { ...ip[family], [remoteField({ direction: rules, family })]: value };
    flows.add(cookieOf(denied, port.key), allow, 105, { [register]: port.number, ...tracked('new'), ...remote }, []);
  }
}

function pastTheRules(model: Model, { rules, track, allow, next, port }: Direction, flows: FlowSet): void {
  const cookie = cookieOf('pipeline');
  const past = (fields: Fields): void => flows.add(cookie, track, 200, fields, [resubmit(next)]);
  past(arp);
  past({ eth_type: ethernet.rarp });
  const discovery = rules === 'out' ? [133, 135, 136] : [134, 135, 136];
  for (const type of discovery) past({ ...icmpv6, icmpv6_type: type, nw_ttl: 255 });
  for (const type of [130, 131, 132, 143]) past({ ...icmpv6, icmpv6_type: type, nw_ttl: 1 });
  for (const domain of model.domains) {
    if (domain.uplink === null) continue;
    if (rules === 'out') {
      past({ metadata: domain.number, ...dhcpRequest, ipv4_dst: 0xffffffffn });
      past({ metadata: domain.number, ...dhcpv6Request, ipv6_dst: (0xff02n << 112n) | 0x10002n });
    } else {
      past({ in_port: domain.uplink.port, metadata: domain.number, ...dhcpReply });
      past({ in_port: domain.uplink.port, metadata: domain.number, ...dhcpv6Reply });
    }
  }
  const known = [resubmit(next)];
  flows.add(cookieOf('invalid'), allow, 300, tracked('inv'), []);
  flows.add(cookie, allow, 200, tracked('est'), known);
  flows.add(cookie, allow, 200, tracked('rel'), known);
  if (rules === 'in') {
    for (const { number } of plugged(model)) {
      // A broadcast does not come back to its sender.
      flows.add(cookie, track, 300, { [register.from]: number, [port]: number }, []);
    }
  }
}

function track(port: LocalPort, direction: Direction, flows: FlowSet): void {
  const { key, number, profile } = port;
  const of = { [direction.port]: number };
  const cookie = cookieOf('port', key);
  if (profile === null) {
    flows.add(cookie, direction.track, 100, of, [resubmit(direction.next)]);
    return;
  }
  for (const family of [ip.ipv4, ip.ipv6]) {
    flows.add(cookie, direction.track, 100, { ...of, ...family }, [
      set(register.profile, profile),
      { do: 'ct', commit: false, zone: number, table: direction.allow },
    ]);
  }
  flows.add(cookieOf(direction.denied, key), direction.allow, 1, of, []);
  refuseCut(port, direction, flows);
}

/** The rules of each combination of groups that ports here have. */
function rulesOfProfiles({ slice, ports }: Model): Map<number, readonly Rule[]> {
  const groups = new Map(slice.groups.map((group) => [group.groupId, group.rules]));
  const found = new Map<number, readonly Rule[]>();
  for (const port of sortedBy(ports, ({ port }) => profileKey(port))) {
    if (port.profile === null || port.profile === 0 || port.openflowPort === null || found.has(port.profile)) continue;
    const rules = [...new Set(port.port.securityGroupIds)].flatMap((id) => groups.get(id) ?? []);
    found.set(
      port.profile,
      sortedBy(rules, (rule) => rule.ruleId),
    );
  }
  return found;
}

function allow(
  profiles: ReadonlyMap<number, readonly Rule[]>,
  addressesOf: AddressesOf,
  direction: Direction,
  ids: ConjunctionIds,
  flows: FlowSet,
): void {
  const stage: Stage = {
    table: direction.allow,
    tellApart: direction.tellApart,
    allow: [resubmit(direction.open)],
    opening: tracked('new'),
  };
  const groupRules: GroupRule[] = [];
  for (const [profile, rules] of profiles) {
    for (const rule of rules.filter((each) => each.direction === direction.rules)) {
      if (rule.remote !== null && 'groupId' in rule.remote) {
        groupRules.push({ profile, rule: { ...rule, remote: rule.remote } });
        continue;
      }
      const remote = cidrMatch(rule);
      if (remote === null) continue;
      for (const fields of serviceMatches(rule)) {
        const opening = { [register.profile]: profile, ...stage.opening, ...fields, ...remote };
        flows.add(cookieOf('rule', rule.ruleId), stage.table, 110, opening, stage.allow);
      }
    }
  }
  allowGroups(groupRules, addressesOf, stage, ids, flows);
}
