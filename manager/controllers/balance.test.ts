/** A cluster is balanced as it says: suggested, or moved, at its pace, and then it is quiet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemIds } from '../ids.ts';
import { setClusterBalance } from '../store/cluster-balance.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { clusters } from '../store/clusters.ts';
import { eventsAfter } from '../store/events.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { lead, taskEnd } from '../testing/task-runs.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { balanceOnce } from './balance.ts';

forEachDatabase('balance', (open, database) => {
  if (database === 'postgres') return;
  test('nothing when manual, events when suggested, moves when automatic, then it is quiet', {
    timeout: 30_000,
  }, async () => {
    const world = await TaskWorld.open(await open());
    const { store, h1, h2, clusterId } = world;
    await store.transaction(async (tx) => {
      await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
      for (const id of [h1, h2]) await hosts.set(tx, { id }, { memoryMib: 1000, cpus: 64 });
    });
    for (let n = 0; n < 6; n += 1) await world.addVm({ state: 'running', hostId: h1, changes: { memoryMib: 100 } });
    const clock = new ManualClock();
    const runner = await lead(world);
    const epoch = await currentEpoch(store.db);
    const seams = {
      store,
      clock,
      ids: systemIds,
      clusterSnapshots: new ClusterSnapshots(clock),
      signals: {},
      epoch: () => epoch,
    };
    const mode = (to: 'manual' | 'suggested' | 'automatic') =>
      store.transaction((tx) => setClusterBalance(tx, clusterId, { policy: { mode: to }, balancedAt: null }));
    const kinds = async () => (await eventsAfter(store.db, 0, { limit: 1000 })).map(({ kind }) => kind);
    const on = async () => [await vms.count(store.db, { hostId: h1 }), await vms.count(store.db, { hostId: h2 })];

    await mode('manual');
    await balanceOnce(seams);
    assert.ok(!(await kinds()).some((kind) => kind.startsWith('balance.')));
    await mode('suggested');
    await balanceOnce(seams);
    await balanceOnce(seams);
    assert.equal((await kinds()).filter((kind) => kind === 'balance.suggested').length, 1);
    assert.equal(await tasks.count(store.db), 0);
    await mode('automatic');
    await balanceOnce(seams);
    for (const { id } of await tasks.select(store.db)) await taskEnd(world, id);
    assert.deepEqual(await on(), [3, 3]);
    clock.advance(3_600_000);
    await balanceOnce(seams);
    assert.equal(await tasks.count(store.db), 3);
    await runner.stop();
    assert.deepEqual(world.hosts.violations, []);
  });
});
