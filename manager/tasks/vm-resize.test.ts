/** A size that the guest does not take is not claimed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, runToEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';

forEachDatabase('a resize', (open, database) => {
  // The rules are the same on both, and a database is slow to make there.
  if (database === 'postgres') return;

  test('fails when the running guest keeps what it has, and both rows and definition keep it too', async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await taskScenarios['vm-resize']['running']!(world);
    const vmId = scenario.task.target.id;
    world.hosts.rigidGuests = true;
    const task = await runToEnd(world, await enqueue(world, scenario));
    assert.equal(task.state, 'failed');
    assert.match(task.error!.message, /Stop the VM to resize it/);
    const { cpus, memoryMib } = await vms.get(world.store.db, vmId);
    assert.deepEqual({ cpus, memoryMib }, { cpus: 1, memoryMib: 256 });
    assert.equal(world.hosts.definedCpus.get(vmId), 1);
  });
});
