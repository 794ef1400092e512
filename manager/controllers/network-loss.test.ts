/** VMs leave a host that lost the VM networks, when the cluster says so: by moves, to hosts that have them, and without end tries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemIds } from '../ids.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { haIncidents, haTimeline } from '../store/ha-incidents.ts';
import { setClusterHa } from '../store/ha-settings.ts';
import { setHostHa } from '../store/host-ha.ts';
import { currentEpoch } from '../store/leader.ts';
import { tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { lead, taskEnd } from '../testing/task-runs.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { NetworkLoss } from './network-loss.ts';

forEachDatabase('a host without networks', (open) => {
  test('keeps its VMs unless the cluster says otherwise, and while no other host is well; then they move', {
    timeout: 30_000,
  }, async () => {
    const world = await TaskWorld.open(await open());
    const { store, h1, h2, clusterId } = world;
    const { vm } = await world.addVm({ state: 'running', hostId: h1 });
    const clock = new ManualClock();
    const runner = await lead(world);
    const epoch = await currentEpoch(store.db);
    const loss = new NetworkLoss({
      ...{ store, clock, ids: systemIds, clusterSnapshots: new ClusterSnapshots(clock), epoch: () => epoch },
    });
    const incidentId = systemIds.uuid();
    const lost = { state: 'network-lost', because: 'the uplink vm0 is down', since: clock.now() } as const;
    await store.transaction(async (tx) => {
      for (const hostId of [h1, h2]) await setHostHa(tx, hostId, lost);
      await haIncidents.insert(tx, {
        ...{ id: incidentId, clusterId, hostId: h1, hostName: 'h1', state: 'network-lost', because: 'x' },
        ...{ alarms: [], openedAt: 1, closedAt: null },
      });
    });
    const told = async () => (await haTimeline.select(store.db, { incidentId })).map(({ kind }) => kind);
    const later = async (ms: number) => {
      clock.advance(ms);
      await loss.round();
    };
    await later(60_000);
    assert.equal(await tasks.count(store.db), 0, 'the cluster leaves them');
    await store.transaction((tx) => setClusterHa(tx, clusterId, { policy: { networkLost: 'restart' } }));
    for (let n = 0; n < 3; n += 1) await later(30_000);
    assert.equal(await tasks.count(store.db), 0, 'the other one has lost them too');
    assert.deepEqual(await told(), ['failed'], 'said once');
    await store.transaction((tx) => setHostHa(tx, h2, { state: 'running' }));
    await later(29_000);
    assert.equal(await tasks.count(store.db), 0, 'it was just tried');
    await later(1000);
    const [move] = await tasks.select(store.db);
    assert.equal(move?.kind, 'vm-migrate');
    await loss.round();
    assert.equal(await tasks.count(store.db), 1);
    await taskEnd(world, move.id);
    assert.deepEqual([(await vms.get(store.db, vm.id)).hostId, await told()], [h2, ['failed', 'decided']]);
    await later(60_000);
    assert.equal(await tasks.count(store.db), 1);
    await runner.stop();
    assert.deepEqual(world.hosts.violations, []);
  });
});
