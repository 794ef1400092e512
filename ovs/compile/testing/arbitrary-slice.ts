/** Any slice, small enough to collide often: the same MACs and addresses in several networks, groups in several ports. */
import fc from 'fast-check';
import type { Cut, Gateway, Network, Port, Router, Rule, Slice } from '../slice.ts';
import { gateway, network, port, router, rule, slice } from './slices.ts';

const networkIds = ['blue', 'green', 'lan', 'office'] as const;
const groupIds = ['g1', 'g2', 'g3'] as const;
const vtep = fc.constantFrom('172.31.0.2', '172.31.0.3', '172.31.0.4');
const mac = fc.integer({ min: 1, max: 12 }).map((n) => `52:54:00:00:00:${n.toString(16).padStart(2, '0')}`);
const address = fc.oneof(
  fc.integer({ min: 1, max: 12 }).map((n) => `10.0.0.${n}`),
  fc.integer({ min: 1, max: 6 }).map((n) => `fd00::${n}`),
);
const addresses = fc.uniqueArray(address, { maxLength: 3 });
const remotePort = fc.record({ macAddress: mac, addresses, vteps: fc.uniqueArray(vtep, { maxLength: 2 }) });
const subnet = fc.constantFrom(
  { cidr: '10.0.0.0/24', gateway: '10.0.0.254', dhcp: true },
  { cidr: 'fd00::/64', gateway: null, dhcp: true },
);

function anyNetwork(networkId: (typeof networkIds)[number], index: number): fc.Arbitrary<Network> {
  const overlay = index < 2;
  const kind = overlay ? ({ kind: 'vxlan' } as const) : ({ kind: 'vlan', switchId: 'switch' } as const);
  return fc
    .record({
      subnets: fc.uniqueArray(subnet),
      remotePorts: fc.array(remotePort, { maxLength: 4 }),
      memberVteps: fc.uniqueArray(vtep),
      externalVteps: fc.uniqueArray(vtep, { maxLength: 1 }),
    })
    .map((given) => network(networkId, { ...given, ...kind, segment: 100 + index }));
}

const anyCut: fc.Arbitrary<Cut> = fc.record({
  opened: fc.constantFrom('in' as const, 'out' as const),
  address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  port: fc.constantFrom(null, 80, 443),
  remote: fc.constantFrom(null, '10.0.0.3', '10.0.0.4'),
});

const anyPort: fc.Arbitrary<Port> = fc
  .record({
    nicId: fc.integer({ min: 1, max: 9 }).map((n) => `nic${n}`),
    networkId: fc.constantFrom(...networkIds, 'unknown'),
    macAddress: mac,
    addresses,
    antiSpoofing: fc.boolean(),
    filtered: fc.boolean(),
    securityGroupIds: fc.uniqueArray(fc.constantFrom(...groupIds, 'missing')),
    phase: fc.constantFrom('active' as const, 'incoming' as const),
    connected: fc.boolean(),
    guestVlan: fc.constantFrom(null, null, 7, 8),
    hardware: fc.boolean(),
    cuts: fc.option(fc.array(anyCut, { maxLength: 3 }), { nil: undefined }),
  })
  .map((given) => port(given.nicId, given));

const anyRule: fc.Arbitrary<Omit<Rule, 'ruleId'>> = fc.record({
  direction: fc.constantFrom('in' as const, 'out' as const),
  family: fc.constantFrom('ipv4' as const, 'ipv6' as const),
  protocol: fc.constantFrom(null, 1, 6, 17, 58, 132),
  ports: fc.option(
    fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
  ),
  icmp: fc.option(fc.record({ type: fc.nat(255), code: fc.option(fc.nat(255)) })),
  remote: fc.oneof(
    fc.constant(null),
    fc.constantFrom('10.0.0.0/8', '0.0.0.0/0', 'fd00::/64').map((cidr) => ({ cidr })),
    fc.constantFrom(...groupIds).map((groupId) => ({ groupId })),
  ),
});

function anyGroup(groupId: string) {
  return fc
    .array(anyRule, { maxLength: 5 })
    .map((rules) => ({ groupId, rules: rules.map((each, index) => rule(`${groupId}-${index}`, each)) }));
}

const anyGateway: fc.Arbitrary<Gateway> = fc
  .record({ here: fc.boolean(), snat: fc.boolean(), floats: fc.uniqueArray(fc.integer({ min: 3, max: 6 })) })
  .map(({ here, snat, floats }) => {
    const floating = floats.map((n) => ({ address: `203.0.113.${n}`, fixedAddress: `10.0.0.${n}`, networkId: 'blue' }));
    return gateway({ here, snat, externalNetworkId: 'lan', floating });
  });

const anyRouter: fc.Arbitrary<Router> = fc.record({ out: fc.option(anyGateway) }).map(({ out }) => {
  const interfaces = [
    { networkId: 'blue', address: '10.0.0.254', prefixLength: 24 },
    { networkId: 'green', address: '10.1.0.254', prefixLength: 24 },
    { networkId: 'green', address: 'fd00::fe', prefixLength: 64 },
  ];
  return router({ interfaces, gateway: out });
});

export const anySlice: fc.Arbitrary<Slice> = fc
  .record({
    networks: fc.tuple(...networkIds.map(anyNetwork)),
    ports: fc.uniqueArray(anyPort, { maxLength: 9, selector: ({ nicId, guestVlan }) => `${nicId}/${guestVlan}` }),
    groups: fc.tuple(...groupIds.map(anyGroup)),
    addressSets: fc.tuple(...groupIds.map((groupId) => fc.record({ groupId: fc.constant(groupId), addresses }))),
    routers: fc.array(anyRouter, { maxLength: 1 }),
  })
  .map((given) => slice({ ...given, uplinks: [{ uplinkId: 'u', switchId: 'switch', bond: 'balance-slb' }] }));

/** The same, with every list in another order. */
export function shuffled(given: Slice): fc.Arbitrary<Slice> {
  const mixed = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
    fc.shuffledSubarray([...items], { minLength: items.length });
  return fc
    .record({
      networks: mixed(given.networks),
      ports: mixed(given.ports),
      groups: mixed(given.groups),
      addressSets: mixed(given.addressSets),
    })
    .map((lists) => ({
      ...given,
      ...lists,
      groups: lists.groups.map((group) => ({ ...group, rules: [...group.rules].reverse() })),
      ports: lists.ports.map((each) => ({ ...each, securityGroupIds: [...each.securityGroupIds].reverse() })),
      networks: lists.networks.map((each) => ({ ...each, remotePorts: [...each.remotePorts].reverse() })),
    }));
}
