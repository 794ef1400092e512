import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { placeVm } from '../placement/place-vm.ts';
import type { PlacementHost, PlacementRequest } from '../placement/world.ts';
import { type AdmissionWorld, fail, judgeAdmission } from './admission.ts';

const cluster = { placementPolicy: 'spread', cpuOvercommit: 1, memoryOvercommit: 1, memoryReservedMib: 0 } as const;
const oneHost = { by: 'host-failures', hostFailures: 1, share: 0, spareHosts: [] } as const;

function host(name: string, memoryMib: number, more: Partial<PlacementHost> = {}): PlacementHost {
  const has = { cpuModels: ['a'], reachablePoolIds: ['gold'], networkIds: [], vms: [] };
  return { id: name, name, state: 'up', schedulable: true, cpus: 100, memoryMib, ...has, ...more };
}

function request(vmId: string, memoryMib: number, more: Partial<PlacementRequest> = {}): PlacementRequest {
  const plain = {
    cpuModel: 'host',
    poolIds: ['gold'],
    volumeHostIds: [],
    networkIds: [],
    affinity: [],
    antiAffinity: [],
  };
  return { vmId, cpus: 1, memoryMib, projectId: 'p', ...plain, ...more };
}

function run(world: AdmissionWorld, hostId: string, asked: PlacementRequest): AdmissionWorld {
  const { vmId: id, cpus, memoryMib, projectId, affinity, antiAffinity } = asked;
  const vm = { id, cpus, memoryMib, projectId, affinity, antiAffinity };
  return {
    cluster: world.cluster,
    hosts: world.hosts.map((each) => (each.id === hostId ? { ...each, vms: [...each.vms, vm] } : each)),
    protectedVms: [...world.protectedVms, { hostId, name: id, request: asked }],
  };
}

const empty = (...hosts: PlacementHost[]): AdmissionWorld => ({ cluster, hosts, protectedVms: [] });

test('says whose VMs would not fit, how much that is, and why', () => {
  let world = empty(host('h1', 1000), host('h2', 400));
  world = run(world, 'h1', request('web', 300));
  assert.deepEqual(judgeAdmission(world, oneHost).holds, true);
  world = run(world, 'h1', request('db', 200));
  const verdict = judgeAdmission(world, oneHost);
  assert.equal(verdict.holds, false);
  assert.equal(verdict.because, 'if h1 died, 1 VM (200 MiB) would not fit: db (h2: 100 MiB free of 200 asked)');
});

test('groups and pools count: room on a host that may not take the VM is none', () => {
  let world = empty(host('h1', 1000), host('h2', 1000), host('h3', 1000, { reachablePoolIds: [] }));
  world = run(world, 'h1', request('a', 10, { antiAffinity: ['g'] }));
  assert.equal(judgeAdmission(world, oneHost).holds, true);
  world = run(world, 'h2', request('b', 10, { antiAffinity: ['g'] }));
  const { holds, because } = judgeAdmission(world, oneHost);
  assert.equal(holds, false);
  assert.match(because, /anti-affinity group g.*does not reach the pool gold/);
});

test('two hosts at once, a share, and spare hosts', () => {
  const three = run(
    run(empty(host('h1', 100), host('h2', 100), host('h3', 100)), 'h1', request('a', 60)),
    'h2',
    request('b', 60),
  );
  assert.equal(judgeAdmission(three, oneHost).holds, true);
  const two = judgeAdmission(three, { ...oneHost, hostFailures: 2 });
  assert.deepEqual(
    [two.holds, two.cases.map(({ hostNames }) => hostNames.join('+'))],
    [false, ['h1+h2', 'h1+h3', 'h2+h3']],
  );
  const share = (of: number) => judgeAdmission(three, { ...oneHost, by: 'share', share: of });
  assert.deepEqual([share(0.6).holds, share(0.61).holds], [true, false]);
  const spare = (...spareHosts: string[]) => judgeAdmission(three, { ...oneHost, by: 'spare-hosts', spareHosts });
  assert.deepEqual([spare('h3').holds, spare('h1').because], [true, 'the spare host h1 has 1 VM(s)']);
});

const asked = fc.record({
  memoryMib: fc.integer({ min: 10, max: 400 }),
  cpus: fc.integer({ min: 1, max: 30 }),
  group: fc.option(fc.constantFrom('g', 'h'), { nil: undefined, freq: 4 }),
  pool: fc.constantFrom('gold', 'gold', 'gold', 'silver'),
});
const sizes = fc.array(fc.record({ memoryMib: fc.integer({ min: 200, max: 1500 }), silver: fc.boolean() }), {
  minLength: 2,
  maxLength: 6,
});

test('what is admitted can always be restarted, whichever host fails; and what is counted agrees with what is placed', () => {
  fc.assert(
    fc.property(sizes, fc.array(asked, { maxLength: 25 }), fc.constantFrom('spread', 'pack'), (hosts, vms, policy) => {
      const reach = (silver: boolean) => ({ reachablePoolIds: silver ? ['gold', 'silver'] : ['gold'] });
      let world: AdmissionWorld = {
        cluster: { ...cluster, placementPolicy: policy },
        hosts: hosts.map(({ memoryMib, silver }, n) => host(`h${n}`, memoryMib, reach(silver))),
        protectedVms: [],
      };
      for (const [n, { memoryMib, cpus, group, pool }] of vms.entries()) {
        const more = { cpus, poolIds: [pool], antiAffinity: group === undefined ? [] : [group] };
        const wanted = request(`vm${n}`, memoryMib, more);
        const decision = placeVm(wanted, world);
        if (!decision.ok) continue;
        const next = run(world, decision.hostId, wanted);
        const verdict = judgeAdmission(next, oneHost);
        const really = next.hosts.every((each) => fail(next, [each]).homeless.length === 0);
        assert.equal(verdict.holds, really);
        if (verdict.holds) world = next;
      }
      for (const each of world.hosts) assert.deepEqual(fail(world, [each]).homeless, []);
    }),
    { numRuns: 200 },
  );
});
