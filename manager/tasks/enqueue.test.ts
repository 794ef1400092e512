/** What a task locks before it exists. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemIds } from '../ids.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { enqueueTask } from './enqueue.ts';

forEachDatabase('a task that finds one of its locks taken', (open) => {
  test('leaves nothing behind for whoever goes on in the same transaction', async () => {
    const world = await TaskWorld.open(await open());
    const { vm } = await world.addVm({ state: 'stopped', hostId: world.h1 });
    const seams = { clock: systemClock, ids: systemIds };
    const disk = { kind: 'volume', id: systemIds.uuid(), name: 'disk' };
    const target = { kind: 'vm', id: vm.id, name: vm.name };
    const params = { vmId: vm.id, paused: false };
    const common = { kind: 'vm-start', params, projectId: vm.projectId, userId: null } as const;
    await world.store.transaction((tx) => enqueueTask(tx, seams, { ...common, target: disk }));
    await world.store.transaction(async (tx) => {
      const isBusy = (error: unknown): boolean => error instanceof KvasirError && error.code === 'busy';
      await assert.rejects(enqueueTask(tx, seams, { ...common, target, locks: [disk] }), isBusy);
    });
    assert.equal(await tasks.count(world.store.db), 1);
    assert.equal(await taskLocks.find(world.store.db, { targetId: vm.id }), undefined);
  });
});
