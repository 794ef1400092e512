/** Images come to where volumes are made from them: once, whole, from wherever they can be read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hosts } from '../store/hosts.ts';
import { imageCopies, images } from '../store/images.ts';
import { taskSteps, tasks } from '../store/tasks.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { enqueue, lead, runToEnd, taskEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { imageSource } from './working-host.ts';

const createLocal = taskScenarios['volume-create']['where its image does not lie']!;

forEachDatabase('images come to where they are used', (open) => {
  test('several at once fetch an image once, and the next finds it there', async () => {
    const world = await TaskWorld.open(await open());
    const methods: string[] = [];
    world.hosts.onCall = async (method) => void methods.push(method);
    const ids = [];
    for (let count = 0; count < 4; count += 1) ids.push(await enqueue(world, await createLocal(world)));
    const runner = await lead(world);
    for (const id of ids) assert.equal((await taskEnd(world, id)).state, 'succeeded');
    const later = await enqueue(world, await createLocal(world));
    assert.equal((await taskEnd(world, later)).state, 'succeeded');
    await runner.stop();
    assert.equal(methods.filter((method) => method === 'image.import').length, 1);
    assert.equal(methods.filter((method) => method === 'volume.create').length, 5);
    await world.assertAtRest();
  });

  test('a copy with another checksum is refused and holds nothing', async () => {
    const world = await TaskWorld.open(await open());
    await world.store.transaction((tx) => images.set(tx, { id: world.image!.id }, { sha256: 'cd' }));
    const scenario = await createLocal(world);
    const task = await runToEnd(world, await enqueue(world, scenario));
    assert.deepEqual([task.state, task.error?.code], ['failed', 'bad-image']);
    assert.deepEqual(await imageCopies.select(world.store.db, { poolId: world.localPool, state: 'ready' }), []);
    assert.equal((await volumes.get(world.store.db, scenario.task.target.id)).state, 'failed');
  });

  test('tells how many bytes have come', async () => {
    const world = await TaskWorld.open(await open());
    const task = await runToEnd(world, await enqueue(world, await createLocal(world)));
    assert.deepEqual([task.bytesDone, task.bytesTotal], [1, 2]);
  });

  test('an image that no connected host holds fails the task, which says so', async () => {
    const world = await TaskWorld.open(await open());
    const scenario = await createLocal(world);
    await world.store.transaction((tx) => hosts.set(tx, {}, { state: 'down' }));
    const { state, error, id } = await runToEnd(world, await enqueue(world, scenario));
    assert.deepEqual([state, error?.code], ['failed', 'host-unreachable']);
    assert.match(error!.message, new RegExp(`any that holds image ${world.image!.name}`));
    const [first] = await taskSteps.select(world.store.db, { taskId: id }, 'position');
    assert.equal(first?.name, 'image');
    assert.equal(await tasks.count(world.store.db, { state: 'running' }), 0);
  });

  test('a host that holds the image itself reads it there, else a shared pool is asked', async () => {
    const world = await TaskWorld.open(await open());
    const { db } = world.store;
    const imageId = world.image!.id;
    const other = world.h2;
    const local = { imageId, poolId: world.localPool, createdAt: 1 };
    await world.store.transaction(async (tx) => {
      await imageCopies.insert(tx, { ...local, id: 'one', hostId: world.h1, state: 'copying' });
      await imageCopies.insert(tx, { ...local, id: 'two', hostId: world.h2, state: 'ready' });
    });
    const shared = { poolId: world.sharedPool, hostId: world.h1 };
    assert.deepEqual(await imageSource(db, imageId), shared);
    assert.deepEqual(await imageSource(db, imageId, world.h1), shared);
    assert.equal((await imageSource(db, imageId, other))?.hostId, other);
    await world.store.transaction((tx) => imageCopies.remove(tx, { poolId: world.sharedPool }));
    assert.deepEqual(await imageSource(db, imageId, world.h1), { poolId: world.localPool, hostId: other });
    await world.store.transaction((tx) => hosts.set(tx, { id: other }, { state: 'down' }));
    assert.equal(await imageSource(db, imageId, world.h1), undefined);
  });
});
