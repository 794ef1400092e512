import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestsOf } from '@kvasir/api/agent/slice-outline.ts';
import fc from 'fast-check';
import { sliceFor, Slices } from './slice.ts';
import type { SwitchWorld, WorldNetwork, WorldPort, WorldRouter } from './world.ts';

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const hosts = [1, 2, 3, 4].map((n) => ({ hostId: id(n), tunnelAddress: n === 4 ? null : `192.0.2.${n}` }));
const group = (n: number) => id(500 + n);

function network(n: number, facts: Partial<WorldNetwork> = {}): WorldNetwork {
  const base = { networkId: id(100 + n), name: `n${n}`, kind: 'vxlan' as const, segment: 100 + n, switchId: null };
  return { ...base, mtu: 1450, domain: null, shared: false, subnets: [], externalVteps: [], ...facts };
}

function port(n: number, on: number, facts: Partial<WorldPort> = {}): WorldPort {
  return {
    nicId: id(1000 + n),
    vmId: id(2000 + n),
    networkId: id(100 + on),
    macAddress: `52:54:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
    addresses: [`10.0.${on + (n >> 8)}.${n & 255}`],
    name: `vm${n}`,
    projectId: id(3000 + (n % 2)),
    antiSpoofing: true,
    filtered: true,
    securityGroupIds: [group(n % 3)],
    connected: true,
    qos: null,
    guestVlan: null,
    hardware: false,
    createdAt: n,
    hostId: id(1),
    incomingHostId: null,
    ...facts,
  };
}

/** A group whose rule lets its own members in. */
function askingFor(n: number): SwitchWorld['groups'][number] {
  const rule = { direction: 'in' as const, family: 'ipv4' as const, protocol: null, ports: null, icmp: null };
  return { groupId: group(n), name: `g${n}`, rules: [{ ...rule, ruleId: id(600 + n), remote: { groupId: group(n) } }] };
}

function world(facts: Partial<SwitchWorld>): SwitchWorld {
  const none = { uplinks: [], networks: [], ports: [], groups: [], addressSets: new Map(), routers: [], mirrors: [] };
  return { hosts, ...none, ...facts };
}

const someHost = fc.option(fc.integer({ min: 1, max: 4 }).map(id), { nil: null });
const anyWorld = fc
  .array(fc.record({ on: fc.integer({ min: 1, max: 4 }), hostId: someHost, incomingHostId: someHost }), {
    maxLength: 24,
  })
  .map((places) => {
    const router: WorldRouter = {
      routerId: id(900),
      name: 'r',
      macAddress: '52:54:00:ff:00:01',
      interfaces: [1, 2].map((n) => ({ networkId: id(100 + n), address: `10.0.${n}.254`, prefixLength: 24 })),
      gateway: null,
    };
    const rule = { direction: 'in' as const, family: 'ipv4' as const, protocol: null, ports: null, icmp: null };
    return world({
      networks: [network(1), network(2), network(3), network(4, { kind: 'flat', segment: 0 })],
      ports: places.map(({ on, ...place }, index) => port(index, on, place)),
      groups: [0, 1, 2].map((n) => ({
        groupId: group(n),
        name: `g${n}`,
        rules: [{ ruleId: id(600 + n), ...rule, remote: { groupId: group((n + 1) % 3) } }],
      })),
      addressSets: new Map([0, 1, 2].map((n) => [group(n), [`10.9.0.${n}`]])),
      routers: [router],
    });
  });

describe('slices', () => {
  it('do not depend on the order of what they are made of', () => {
    fc.assert(
      fc.property(anyWorld, (all) => {
        const shuffled = { ...all, ports: all.ports.toReversed(), groups: all.groups.toReversed() };
        for (const { hostId } of hosts) {
          const slice = sliceFor(hostId, all);
          assert.equal(JSON.stringify(sliceFor(hostId, shuffled)), JSON.stringify(slice));
        }
      }),
    );
  });

  it('have every port where its VM is or comes to, and feed it from everywhere else that has its network', () => {
    fc.assert(
      fc.property(anyWorld, (all) => {
        for (const { hostId } of hosts) {
          const slice = sliceFor(hostId, all);
          for (const one of all.ports) {
            const places = [one.hostId, one.incomingHostId].filter((place) => place !== null);
            const here = slice.ports.find(({ nicId }) => nicId === one.nicId);
            assert.equal(
              here?.phase,
              one.hostId === hostId ? 'active' : places.includes(hostId) ? 'incoming' : undefined,
            );
            const on = slice.networks.find(({ networkId }) => networkId === one.networkId);
            const fed = on?.remotePorts.find(({ macAddress }) => macAddress === one.macAddress)?.vteps;
            const vteps = places
              .filter((place) => place !== hostId)
              .flatMap((p) => hosts.find((h) => h.hostId === p)?.tunnelAddress ?? []);
            if (on?.kind === 'vxlan') assert.deepEqual(fed ?? [], [...new Set(vteps)].sort());
          }
        }
      }),
    );
  });

  it('hold a port to its MAC also where no address of it is known', () => {
    const { ports } = sliceFor(id(1), world({ networks: [network(1)], ports: [port(1, 1, { addresses: [] })] }));
    assert.deepEqual(
      ports.map(({ antiSpoofing }) => antiSpoofing),
      [true],
    );
  });

  it('hold what their own ports need and nothing else', () => {
    fc.assert(
      fc.property(anyWorld, (all) => {
        for (const { hostId } of hosts) {
          const slice = sliceFor(hostId, all);
          const own = new Set(slice.ports.map(({ networkId }) => networkId));
          const routed = [id(101), id(102)].some((one) => own.has(one)) ? [id(101), id(102)] : [];
          assert.deepEqual(new Set(slice.networks.map(({ networkId }) => networkId)), new Set([...own, ...routed]));
          const groups = new Set(slice.ports.flatMap((one) => one.securityGroupIds));
          assert.deepEqual(new Set(slice.groups.map(({ groupId }) => groupId)), groups);
          const named = slice.groups.flatMap(({ rules }) =>
            rules.map(({ remote }) => (remote as { groupId: string }).groupId),
          );
          assert.deepEqual(new Set(slice.addressSets.map(({ groupId }) => groupId)), new Set(named));
        }
      }),
    );
  });

  it('say whose a port is where several projects share a network that has names, and nowhere else', () => {
    const on = [
      network(1, { domain: 'red.test', shared: true }),
      network(2, { domain: 'red.test' }),
      network(3, { shared: true }),
    ];
    const ports = [0, 1, 2].flatMap((n) => [port(2 * n, n + 1), port(2 * n + 1, n + 1, { hostId: id(2) })]);
    const slice = sliceFor(id(1), world({ networks: on, ports }));
    assert.deepEqual(
      slice.ports.map(({ projectId }) => projectId),
      [id(3000), undefined, undefined],
    );
    assert.deepEqual(
      slice.networks.map(({ remotePorts: [remote] }) => remote?.projectId),
      [id(3001), undefined, undefined],
    );
  });

  it('have most in common with those before, also when one of a thousand members is new', () => {
    const many = Array.from({ length: 1001 }, (_, n) => port(n, 1, { hostId: id((n % 4) + 1) }));
    const [before, after] = [many.slice(0, -1), many].map((ports) => {
      const addressSets = new Map([[group(1), ports.flatMap(({ addresses }) => addresses)]]);
      const { outline, documents } = new Slices(
        world({ networks: [network(1)], ports, groups: [askingFor(1)], addressSets }),
        (text) => text,
      ).of(id(1));
      return { digests: digestsOf(outline), documents };
    });
    assert.ok(before!.digests.size > 30);
    const fresh = [...after!.digests].filter((digest) => !before!.digests.has(digest));
    assert.ok(fresh.length >= 2 && fresh.length <= 4, `${fresh.length} new documents`);
    for (const digest of after!.digests) assert.ok(after!.documents.has(digest));
  });

  it('bring the external network to the gateway host alone', () => {
    const gateway = {
      hostId: id(2),
      externalNetworkId: id(104),
      macAddress: '52:54:00:ff:00:02',
      address: '203.0.113.5',
      prefixLength: 24,
      nextHop: '203.0.113.1',
      snat: true,
      floating: [],
    };
    const interfaces = [{ networkId: id(101), address: '10.0.1.254', prefixLength: 24 }];
    const routers = [{ routerId: id(900), name: 'r', macAddress: '52:54:00:ff:00:01', interfaces, gateway }];
    const all = world({ networks: [network(1), network(4, { kind: 'flat' })], ports: [port(1, 1)], routers });
    const [source, serving, other] = [1, 2, 3].map((n) => sliceFor(id(n), all));
    assert.deepEqual(
      source!.networks.map(({ networkId }) => networkId),
      [id(101)],
    );
    assert.deepEqual([source!.routers[0]?.gateway?.here, source!.routers[0]?.gateway?.vtep], [false, '192.0.2.2']);
    assert.deepEqual(
      serving!.networks.map(({ networkId }) => networkId),
      [id(101), id(104)],
    );
    assert.equal(serving!.routers[0]?.gateway?.here, true);
    assert.deepEqual(other!.networks, []);
  });
});
