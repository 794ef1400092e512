/** What holds for the flows of any slice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Action, Flow } from '../flow.ts';
import { formatFlow } from '../format-flow.ts';
import { compile } from './compile.ts';
import { cookieOf } from './cookies.ts';
import { flowKey } from './flow-set.ts';
import type { LocalSwitch } from './local.ts';
import { allocateNumbers, noNumbers, portKey } from './numbers.ts';
import { table } from './pipeline.ts';
import type { Slice } from './slice.ts';
import { anySlice, shuffled } from './testing/arbitrary-slice.ts';
import { localSwitch, network, port, rule, slice } from './testing/slices.ts';

const servicesPort = 2;

function hostOf(given: Slice): LocalSwitch {
  const nics = [...new Set(given.ports.map(({ nicId }) => nicId))].sort();
  const nicPorts = Object.fromEntries(nics.map((nicId, index) => [nicId, 11 + index]));
  const services = { port: servicesPort, macAddress: '52:54:00:00:00:5e' };
  return localSwitch(given, { nicPorts, uplinkPorts: { switch: 3 }, services });
}

const textOf = (given: Slice): string[] => compile(given, hostOf(given)).flows.map(formatFlow);

test('the order of the input makes no difference', () => {
  const pairs = anySlice.chain((given) => fc.tuple(fc.constant(given), shuffled(given)));
  fc.assert(
    fc.property(pairs, ([given, mixed]) => assert.deepEqual(textOf(mixed), textOf(given))),
    { numRuns: 60 },
  );
});

test('no two flows have the same table, priority and match, and no two conjunctions the same id', () => {
  fc.assert(
    fc.property(anySlice, (given) => {
      const { flows, meters } = compile(given, hostOf(given));
      assert.equal(new Set(flows.map(flowKey)).size, flows.length);
      assert.equal(new Set(meters.map(({ meterId }) => meterId)).size, meters.length);
      const ids = flows.flatMap((flow) => (flow.match.conj_id === undefined ? [] : [flow.match.conj_id.value]));
      assert.equal(new Set(ids).size, ids.length);
    }),
    { numRuns: 60 },
  );
});

/** All actions, also those inside others. */
function flatten(actions: readonly Action[]): Action[] {
  return actions.flatMap((action) => [action, ...(action.do === 'clone' ? flatten(action.actions) : [])]);
}

function valuesSet(flow: Flow, field: string): number[] {
  return flatten(flow.actions).flatMap((action) =>
    action.do === 'set' && action.to === field ? [Number(action.value)] : [],
  );
}

test('no flow hands packets to the agent, or to its services, without a meter before it', () => {
  fc.assert(
    fc.property(anySlice, (given) => {
      const { flows, meters } = compile(given, hostOf(given));
      const known = new Set(meters.map(({ meterId }) => meterId));
      for (const flow of flows) {
        const actions = flatten(flow.actions);
        const asks = actions.findIndex(
          (action) => action.do === 'controller' || (action.do === 'output' && action.port === servicesPort),
        );
        const metered = actions.slice(0, Math.max(asks, 0)).some((a) => a.do === 'meter' && known.has(a.meterId));
        assert.ok(asks === -1 || metered, formatFlow(flow));
      }
    }),
    { numRuns: 60 },
  );
});

test('no flow of a network delivers to a port, a VNI or a VLAN of another', () => {
  fc.assert(
    fc.property(anySlice, (given) => {
      const host = hostOf(given);
      const numberOf = (id: string): number => host.numbers.networks[id] as number;
      const networkOfPort = new Map(given.ports.map((each) => [host.numbers.ports[portKey(each)], each.networkId]));
      const bySegment = new Map(given.networks.map(({ networkId, segment }) => [segment, networkId]));
      const delivery: readonly number[] = [table.switchFromVm, table.switchFromOutside, table.replicate, table.leave];
      for (const flow of compile(given, host).flows) {
        if (!delivery.includes(flow.table) || flow.match.metadata === undefined) continue;
        const within = Number(flow.match.metadata?.value);
        for (const to of valuesSet(flow, 'reg7')) assert.equal(numberOf(networkOfPort.get(to) as string), within);
        for (const vni of valuesSet(flow, 'tun_id')) assert.equal(numberOf(bySegment.get(vni) as string), within);
        for (const tag of valuesSet(flow, 'vlan_vid')) {
          assert.equal(numberOf(bySegment.get(tag & 0xfff) as string), within);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('frames enter the network of their port, VNI or VLAN, and from the tunnel none goes back into it unrouted', () => {
  fc.assert(
    fc.property(anySlice, (given) => {
      const host = hostOf(given);
      const numbers = host.numbers.networks;
      for (const flow of compile(given, host).flows) {
        const sends = flatten(flow.actions).some((action) => action.do === 'output' && action.port === host.tunnelPort);
        if (sends) assert.ok(flow.table === table.switchFromVm || flow.table === table.route, formatFlow(flow));
        const tunnelled = flow.match.in_port?.value === BigInt(host.tunnelPort as number);
        if (flow.table === table.classify && tunnelled) assert.ok(flow.match.tun_src !== undefined, formatFlow(flow));
        if (flow.table !== table.classify && flow.table !== table.tunnelled) continue;
        const [entered] = valuesSet(flow, 'metadata');
        const [from] = valuesSet(flow, 'reg6');
        const { tun_id: vni, vlan_vid: vlan } = flow.match;
        const segment = Number(vni?.value ?? (vlan?.value ?? 0n) & 0xfffn);
        const sender = given.ports.find((each) => from !== undefined && host.numbers.ports[portKey(each)] === from);
        const network = sender ?? given.networks.find((each) => each.segment === segment);
        if (entered !== undefined) assert.equal(entered, numbers[network?.networkId as string]);
      }
    }),
    { numRuns: 60 },
  );
});

test('flows grow with rules plus addresses, not with their product, whatever ports have the rules', () => {
  const count = (ports: number, rules: number, addresses: number): number => {
    const each = <T>(many: number, make: (n: number) => T): T[] => Array.from({ length: many }, (_, n) => make(n));
    const toGroup = { protocol: 6, remote: { groupId: 'many' } };
    const given = slice({
      networks: [network('blue')],
      ports: each(ports, (n) => port(`nic${n}`, { filtered: true, securityGroupIds: [`g${n}`] })),
      groups: each(ports, (g) => ({
        groupId: `g${g}`,
        rules: each(rules, (n) => rule(`g${g}-${n}`, { ...toGroup, ports: { from: n, to: n } })),
      })),
      addressSets: [{ groupId: 'many', addresses: each(addresses, (n) => `10.9.${n >> 8}.${n & 255}`) }],
    });
    return compile(given, localSwitch(given)).flows.length;
  };
  const size = (max: number) => fc.integer({ min: 1, max });
  fc.assert(
    fc.property(size(5), size(40), size(400), (ports, rules, addresses) => {
      assert.equal(count(ports, rules, addresses) - count(ports, 0, 0), 2 * ports * rules + addresses + 1);
    }),
    { numRuns: 15 },
  );
});

test('ports with the same groups share the flows of their rules', () => {
  const given = (ports: number) =>
    slice({
      networks: [network('blue')],
      ports: Array.from({ length: ports }, (_, n) =>
        port(`nic${n}`, {
          addresses: [],
          macAddress: `52:54:00:00:01:${(n + 16).toString(16)}`,
          filtered: true,
          securityGroupIds: ['g'],
        }),
      ),
      groups: [{ groupId: 'g', rules: [rule('only')] }],
    });
  const ofRule = (ports: number) =>
    compile(given(ports), localSwitch(given(ports))).flows.filter(({ cookie }) => cookie === cookieOf('rule', 'only'));
  assert.deepEqual(ofRule(1), ofRule(50));
});

test('a broadcast to more receivers than one flow holds is split, and reaches each once', () => {
  const vteps = Array.from({ length: 450 }, (_, n) => `172.31.${n >> 8}.${n & 255}`);
  const given = slice({ networks: [network('blue', { memberVteps: vteps })], ports: [port('a')] });
  const parts = compile(given, localSwitch(given)).flows.filter((flow) => flow.table === table.replicate);
  assert.equal(parts.length, 3);
  assert.equal(new Set(parts.flatMap((flow) => valuesSet(flow, 'tun_dst'))).size, 450);
});

test('what has no number, no network or no plug gets no way in', () => {
  const given = slice({ networks: [network('blue')], ports: [port('a'), port('b', { networkId: 'gone' })] });
  const entries = (local: LocalSwitch) =>
    compile(given, local).flows.filter(
      (flow) => flow.table === table.classify && Number(flow.match.in_port?.value) > 10,
    );
  assert.equal(entries(localSwitch(given)).length, 1);
  assert.deepEqual(entries(localSwitch(given, { nicPorts: {} })), []);
  assert.deepEqual(entries(localSwitch(given, { numbers: noNumbers })), []);
  assert.equal(allocateNumbers(noNumbers, given).ports['a'], 1);
});

test('networks on one wire are one domain, whichever comes first', () => {
  const flat = (id: string) => network(id, { kind: 'flat', segment: 0, switchId: 'switch' });
  const ports = [port('a', { networkId: 'x' }), port('b', { networkId: 'y', macAddress: '52:54:00:00:00:02' })];
  const one = slice({ networks: [flat('x'), flat('y')], ports });
  const other = slice({ networks: [flat('y'), flat('x')], ports });
  assert.deepEqual(textOf(one), textOf(other));
  const entered = compile(one, hostOf(one)).flows.filter((flow) => flow.table === table.classify);
  assert.equal(new Set(entered.flatMap((flow) => valuesSet(flow, 'metadata'))).size, 1);
});

test('what a guest sends by a tag of its trunk counts against the limit of its NIC, and is marked alike', () => {
  const limit = { rateKbps: 10_000, burstKb: 5000 };
  const nic = port('a', { qos: { fromVm: limit, toVm: null, dscp: 46 } });
  const sub = { ...port('a', { networkId: 'green', macAddress: '52:54:00:00:00:02' }), guestVlan: 7 };
  const given = slice({ networks: [network('blue'), network('green', { segment: 5002 })], ports: [nic, sub] });
  const { flows, meters } = compile(given, hostOf(given));
  const own = flows.filter(({ table: at, match }) => at === table.classify && match.in_port?.value === 11n);
  assert.equal(own.length, 6, 'for each of both: any, IPv4 and IPv6');
  const limits = meters.filter(({ rateKbps }) => rateKbps === limit.rateKbps);
  assert.equal(limits.length, 1);
  for (const flow of own) {
    assert.deepEqual(flow.actions[0], { do: 'meter', meterId: limits[0]!.meterId }, formatFlow(flow));
    if (flow.match.eth_type !== undefined) assert.deepEqual(valuesSet(flow, 'ip_dscp'), [46]);
  }
});
