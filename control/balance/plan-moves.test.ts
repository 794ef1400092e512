import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PlacementHost, PlacementRequest } from '../placement/world.ts';
import { afterMove, type BalanceWorld, planMoves, spreadOf } from './plan-moves.ts';

const cluster = { placementPolicy: 'spread', cpuOvercommit: 1, memoryOvercommit: 1, memoryReservedMib: 0 } as const;
const policy = { threshold: 0.2, maxMoves: 1000 };

interface Given {
  readonly memoryMib: number;
  readonly cpus: number;
  readonly on: number;
  readonly group?: string | undefined;
}

function world(sizes: readonly number[], vms: readonly Given[]): BalanceWorld {
  const asked = vms.map(({ memoryMib, cpus, group }, n): PlacementRequest => {
    const plain = { cpuModel: 'host', poolIds: [], volumeHostIds: [], networkIds: [], affinity: [], projectId: 'p' };
    return { vmId: `v${n}`, cpus, memoryMib, antiAffinity: group === undefined ? [] : [group], ...plain };
  });
  const on = (at: number) => asked.filter((_, n) => vms[n]!.on % sizes.length === at);
  const hosts = sizes.map((memoryMib, at): PlacementHost => {
    const has = { cpuModels: [], reachablePoolIds: [], networkIds: [] };
    const here = on(at).map(({ vmId: id, ...rest }) => ({ id, ...rest }));
    return { id: `h${at}`, name: `h${at}`, state: 'up', schedulable: true, cpus: 64, memoryMib, ...has, vms: here };
  });
  const movable = asked.map((request, n) => ({ hostId: `h${vms[n]!.on % sizes.length}`, name: request.vmId, request }));
  return { cluster, hosts, movable };
}

const apply = (from: BalanceWorld, of = policy): BalanceWorld => planMoves(from, of).reduce(afterMove, from);

test('evens out what one host carries alone, and says why', () => {
  const crowded = world(
    [1000, 1000],
    Array.from({ length: 6 }, () => ({ memoryMib: 100, cpus: 1, on: 0 })),
  );
  const moves = planMoves(crowded, policy);
  assert.equal(moves.length, 3);
  assert.match(
    moves[0]!.because,
    /^h0 is at 60 % of its memory and 9 % of its CPUs, h1 at 0 % .*; with v0 \(100 MiB\) moved they are at 50 % .* and 10 % /,
  );
  assert.equal(spreadOf(apply(crowded)), 0);
});

test('does nothing for a small difference, on a host that is closed, or where a group forbids it', () => {
  const two = [
    { memoryMib: 100, cpus: 1, on: 0 },
    { memoryMib: 100, cpus: 1, on: 0 },
  ];
  assert.deepEqual(planMoves(world([1000, 1000], two), policy), []);
  const crowded = world(
    [1000, 1000],
    Array.from({ length: 6 }, () => ({ memoryMib: 100, cpus: 1, on: 0 })),
  );
  const closed = { ...crowded, hosts: crowded.hosts.map((host) => ({ ...host, schedulable: host.id === 'h0' })) };
  assert.deepEqual(planMoves(closed, policy), []);
  const grouped = world(
    [1000, 1000],
    [
      { memoryMib: 500, cpus: 1, on: 0, group: 'g' },
      { memoryMib: 10, cpus: 1, on: 1, group: 'g' },
    ],
  );
  assert.deepEqual(
    planMoves(grouped, policy).filter(({ vmId }) => vmId === 'v0'),
    [],
  );
});

test('moves by the processors that are really used, when these are known', () => {
  const idle = world(
    [1000, 1000],
    Array.from({ length: 4 }, (_, on) => ({ memoryMib: 10, cpus: 16, on })),
  );
  const busy = { ...idle, movable: idle.movable.map((vm, n) => ({ ...vm, cpusUsed: n % 2 === 0 ? 16 : 0 })) };
  assert.deepEqual(planMoves(idle, policy), []);
  assert.deepEqual(
    planMoves(busy, policy).map(({ fromHostId, toHostId }) => [fromHostId, toHostId]),
    [['h0', 'h1']],
  );
});

const anyWorld = fc
  .tuple(
    fc.array(fc.integer({ min: 1000, max: 8000 }), { minLength: 2, maxLength: 8 }),
    fc.array(
      fc.record({
        memoryMib: fc.integer({ min: 16, max: 900 }),
        cpus: fc.integer({ min: 1, max: 8 }),
        on: fc.nat(7),
        group: fc.option(fc.constantFrom('g', 'h'), { nil: undefined, freq: 5 }),
      }),
      { maxLength: 40 },
    ),
  )
  .map(([sizes, vms]) => world(sizes, vms));

const hurt = ({ hosts, cluster: { memoryReservedMib } }: BalanceWorld): number =>
  hosts.reduce((sum, host) => {
    const memory = host.vms.reduce((all, vm) => all + vm.memoryMib, 0) / (host.memoryMib - memoryReservedMib);
    const cpus = host.vms.reduce((all, vm) => all + vm.cpus, 0) / host.cpus;
    return sum + memory ** 2 + cpus ** 2;
  }, 0);

test('when its moves are made it plans none, each made things better, and no host got more than it has', () => {
  fc.assert(
    fc.property(anyWorld, (before) => {
      let now = before;
      for (const move of planMoves(before, policy)) {
        const next = afterMove(now, move);
        assert.ok(hurt(next) < hurt(now));
        const to = next.hosts.find(({ id }) => id === move.toHostId)!;
        assert.ok(to.vms.reduce((sum, vm) => sum + vm.memoryMib, 0) <= to.memoryMib);
        now = next;
      }
      assert.deepEqual(planMoves(now, policy), []);
    }),
    { numRuns: 300 },
  );
});

test('a few moves at a time it comes to rest as well', () => {
  fc.assert(
    fc.property(anyWorld, fc.integer({ min: 1, max: 3 }), (before, maxMoves) => {
      let now = before;
      for (let round = 0; round < 200; round += 1) {
        const moves = planMoves(now, { ...policy, maxMoves });
        if (moves.length === 0) return;
        now = moves.reduce(afterMove, now);
      }
      assert.fail('it never comes to rest');
    }),
    { numRuns: 100 },
  );
});

test('noise moves nothing to and fro', () => {
  const noise = fc.array(fc.array(fc.double({ min: -0.2, max: 0.2, noNaN: true }), { minLength: 40, maxLength: 40 }), {
    minLength: 5,
    maxLength: 5,
  });
  fc.assert(
    fc.property(anyWorld, noise, (before, rounds) => {
      let now = apply(before);
      const settled = spreadOf(now) <= policy.threshold / 2;
      const cameFrom = new Map<string, string>();
      for (const round of rounds) {
        // Each VM uses up to a twentieth more or less of processors than it was promised.
        const noisy = {
          ...now,
          movable: now.movable.map((vm, n) => ({ ...vm, cpusUsed: vm.request.cpus * (1 + round[n]! / 4) })),
        };
        const moves = planMoves(noisy, policy);
        if (settled) assert.deepEqual(moves, []);
        for (const move of moves) {
          assert.notEqual(cameFrom.get(move.vmId), move.toHostId, `${move.vmId} goes back to ${move.toHostId}`);
          cameFrom.set(move.vmId, move.fromHostId);
        }
        now = moves.reduce(afterMove, now);
      }
    }),
    { numRuns: 200 },
  );
});
