/** Placement against a brute-force judge that is written from the rules alone and shares no code with it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { placeVm } from './place-vm.ts';
import { anyRequest, anyWorld, commit } from './testing/worlds.ts';
import type { PlacementHost, PlacementRequest, PlacementWorld } from './world.ts';

/** Puts the VM on the host in thought, and asks whether that world is one we want to live in. */
function mayRunOn(host: PlacementHost, asked: PlacementRequest, world: PlacementWorld): boolean {
  const elsewhere = {
    ...world,
    hosts: world.hosts.map((h) => ({ ...h, vms: h.vms.filter((v) => v.id !== asked.vmId) })),
  };
  const after = commit(elsewhere, host.id, asked).hosts.find((h) => h.id === host.id);
  assert.ok(after);
  const { cluster } = world;
  const project = elsewhere.hosts.map((h) => ({ id: h.id, vms: h.vms.filter((v) => v.projectId === asked.projectId) }));
  const homesOf = (group: string): string[] =>
    project.filter((h) => h.vms.some((v) => v.affinity.includes(group))).map((h) => h.id);
  let memoryMib = 0;
  let cpus = 0;
  for (const vm of after.vms) {
    memoryMib += vm.memoryMib;
    cpus += vm.cpus;
  }
  if (host.state !== 'up' || !host.schedulable) return false;
  if (memoryMib > (host.memoryMib - cluster.memoryReservedMib) * cluster.memoryOvercommit) return false;
  if (cpus > host.cpus * cluster.cpuOvercommit) return false;
  if (!['host', 'maximum', ...host.cpuModels].includes(asked.cpuModel)) return false;
  for (const pool of asked.poolIds) if (!host.reachablePoolIds.includes(pool)) return false;
  for (const network of asked.networkIds) if (!host.networkIds.includes(network)) return false;
  for (const pin of asked.volumeHostIds) if (pin !== host.id) return false;
  if (asked.hostId !== undefined && asked.hostId !== host.id) return false;
  if ((asked.excludeHostIds ?? []).includes(host.id)) return false;
  for (const group of asked.affinity) {
    const homes = homesOf(group);
    if (homes.length > 0 && !homes.includes(host.id)) return false;
  }
  const here = project.find((h) => h.id === host.id)?.vms ?? [];
  return !asked.antiAffinity.some((group) => here.some((v) => v.antiAffinity.includes(group)));
}

const runs = { numRuns: 3000 };

it('places exactly when some host fits, on one that fits, and refuses exactly the others', () => {
  let placed = 0;
  fc.assert(
    fc.property(anyRequest, anyWorld, (asked, world) => {
      const fitting = world.hosts.filter((host) => mayRunOn(host, asked, world)).map((host) => host.id);
      const decision = placeVm(asked, world);
      assert.equal(decision.ok, fitting.length > 0);
      if (decision.ok) assert.ok(fitting.includes(decision.hostId));
      if (decision.ok) placed++;
      const refused = decision.refusals.map((refusal) => refusal.hostId).toSorted();
      assert.deepEqual(
        refused,
        world.hosts.map((host) => host.id).filter((id) => !fitting.includes(id)),
      );
      for (const refusal of decision.refusals) assert.ok(refusal.reason.length > 0);
    }),
    runs,
  );
  assert.ok(
    placed > runs.numRuns / 10 && placed < (runs.numRuns * 9) / 10,
    `the generator is lopsided: ${placed} placed`,
  );
});

it('decides the same, whatever the order of the hosts', () => {
  const shuffled = anyWorld.chain((world) =>
    fc
      .shuffledSubarray([...world.hosts], { minLength: world.hosts.length })
      .map((hosts) => [world, { ...world, hosts }] as const),
  );
  fc.assert(
    fc.property(anyRequest, shuffled, (asked, [world, other]) => {
      assert.deepEqual(placeVm(asked, world), placeVm(asked, other));
    }),
    runs,
  );
});

it('keeps every host within capacity and every group whole over a sequence of placements', () => {
  fc.assert(
    fc.property(anyWorld, fc.array(anyRequest, { maxLength: 12 }), (start, requests) => {
      let world: PlacementWorld = { ...start, hosts: start.hosts.map((host) => ({ ...host, vms: [] })) };
      for (const [i, each] of requests.entries()) {
        const asked = { ...each, vmId: `vm-${i}` };
        const decision = placeVm(asked, world);
        if (decision.ok) world = commit(world, decision.hostId, asked);
      }
      const homes = new Map<string, string>();
      for (const host of world.hosts) {
        const { memoryReservedMib, memoryOvercommit, cpuOvercommit } = world.cluster;
        const memoryMib = host.vms.reduce((sum, vm) => sum + vm.memoryMib, 0);
        assert.ok(memoryMib <= Math.max(0, (host.memoryMib - memoryReservedMib) * memoryOvercommit));
        assert.ok(host.vms.reduce((sum, vm) => sum + vm.cpus, 0) <= host.cpus * cpuOvercommit);
        const apart = host.vms.flatMap((vm) => vm.antiAffinity.map((group) => `${vm.projectId}/${group}`));
        assert.equal(new Set(apart).size, apart.length, 'no anti-affinity group has two members on one host');
        for (const vm of host.vms) {
          for (const group of vm.affinity) {
            const key = `${vm.projectId}/${group}`;
            assert.equal(homes.get(key) ?? host.id, host.id, 'an affinity group that starts whole stays whole');
            homes.set(key, host.id);
          }
        }
      }
    }),
    { numRuns: 1000 },
  );
});
