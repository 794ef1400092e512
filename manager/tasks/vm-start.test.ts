/** A start holds what is known of other hosts against it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostDomains } from '../store/host-domains.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, runToEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';

forEachDatabase('a start', (open, database) => {
  // The rules are the same on both, and a database is slow to make there.
  if (database === 'postgres') return;

  test('does not happen while another host says that the VM runs there', async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await taskScenarios['vm-start']['stopped']!(world);
    const vmId = scenario.task.target.id;
    const row = { hostId: world.h2, domainId: vmId, name: 'vm', managed: true, vmId, seenAt: 1 };
    await world.store.transaction((tx) => hostDomains.insert(tx, { ...row, state: 'running' }));
    const task = await runToEnd(world, await enqueue(world, scenario));
    assert.equal(task.state, 'failed');
    assert.match(task.error!.message, /it runs on h2/);
    assert.notEqual((await vms.get(world.store.db, vmId)).state, 'running');
  });
});
