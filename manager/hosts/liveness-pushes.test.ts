/** What hosts are told of leases, and that what they say of them is on the board. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { systemIds } from '../ids.ts';
import { clusters } from '../store/clusters.ts';
import { clusterLeases, hostLeaseSlots } from '../store/leases.ts';
import { pools } from '../store/pools.ts';
import { firstRevision } from '../store/versioned.ts';
import { openSqlite } from '../testing/databases.ts';
import { HostWorld, type ScriptedAgent } from './testing/host-world.ts';

const report: Liveness = { bootId: 'b', guard: 'watchdog', own: [], seen: [], peers: [], uplinks: [] };

function plansOf(agent: ScriptedAgent): LivenessPlan[] {
  const sent = agent.requests.filter(({ method }) => method === 'liveness.apply');
  return sent.map(({ params }) => (params as { readonly params: LivenessPlan }).params);
}

it('each host gets its own slot, the others as peers, and a plan again only when it changed', async () => {
  const opened = await openSqlite();
  const { store } = opened;
  const world = await HostWorld.open(store);
  const [cluster] = await clusters.select(store.db);
  const pool = { name: 'shared', description: '', clusterId: cluster!.id, kind: 'directory' as const, path: '/p' };
  const poolId = systemIds.uuid();
  await store.transaction((tx) => pools.insert(tx, { ...firstRevision(poolId, 0), ...pool, shared: true }));
  const ids = [await world.addHost('h1'), await world.addHost('h2')] as const;
  const agents: ScriptedAgent[] = [];
  for (const id of ids) agents.push(await world.connect(id));
  for (const agent of agents) agent.answers.set('liveness.apply', () => ({}));
  world.hosts.nudge();
  await world.settle();
  const [one, two] = agents.map((agent) => plansOf(agent).at(-1)!) as [LivenessPlan, LivenessPlan];
  assert.deepEqual(
    [one, two].map((plan) => plan.pools),
    [[{ poolId, slot: 0 }], [{ poolId, slot: 1 }]],
  );
  assert.deepEqual(one.peers, [{ hostId: ids[1], name: 'h2', address: '10.0.0.1', slot: 1 }]);
  assert.ok(one.probeKey !== null && one.probeKey === two.probeKey);
  assert.deepEqual([one.renewEveryMs, one.killAfterMs, one.leaseMs], [1000, 6000, 9000]);

  const before = plansOf(agents[0]!).length;
  world.hosts.nudge();
  await world.settle();
  assert.equal(plansOf(agents[0]!).length, before);
  await store.transaction((tx) => clusterLeases.set(tx, { clusterId: cluster!.id }, { leaseMs: 12_000 }));
  world.hosts.nudge();
  await world.settle();
  assert.equal(plansOf(agents[0]!).at(-1)?.leaseMs, 12_000);
  assert.ok(plansOf(agents[0]!).at(-1)!.generation > one.generation);
  await store.transaction((tx) => clusterLeases.set(tx, { clusterId: cluster!.id }, { enabled: false }));
  world.hosts.nudge();
  await world.settle();
  assert.deepEqual(plansOf(agents[0]!).at(-1)?.pools, []);
  assert.deepEqual((await hostLeaseSlots.select(store.db)).map((row) => row.slot).sort(), [0, 1]);

  agents[0]!.peer.notify('liveness', report);
  await world.settle();
  assert.deepEqual(world.hosts.liveness.report(ids[0]), { report, atMs: world.clock.now() });
  assert.equal(world.hosts.liveness.report(ids[1]), undefined);
  await world.hosts.close();
  await opened.close();
});

it('in a large cluster whoever watches a host is watched by it, or neither would answer the other', async () => {
  const opened = await openSqlite();
  const world = await HostWorld.open(opened.store);
  const peersOf = new Map<string, readonly string[]>();
  const agents = new Map<string, ScriptedAgent>();
  for (let number = 0; number < 40; number += 1) {
    const id = await world.addHost(`h${number}`);
    const agent = await world.connect(id);
    agent.answers.set('liveness.apply', () => ({}));
    agents.set(id, agent);
  }
  world.hosts.nudge();
  await world.settle();
  for (const [id, agent] of agents) {
    peersOf.set(
      id,
      plansOf(agent)
        .at(-1)!
        .peers.map(({ hostId }) => hostId),
    );
  }
  for (const [id, peers] of peersOf) {
    assert.equal(new Set(peers).size, 16);
    assert.ok(peers.every((peer) => peer !== id && peersOf.get(peer)!.includes(id)));
  }
  await world.hosts.close();
  await opened.close();
});
