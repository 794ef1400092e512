/** Images come to where volumes are made from them: once, whole, from wherever they can be read. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { hosts } from '../store/hosts.ts';
import { imageCopies, images } from '../store/images.ts';
import { poolHosts } from '../store/pools.ts';
import { taskSteps, tasks } from '../store/tasks.ts';
import { volumes } from '../store/volumes.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { die } from '../testing/host-death.ts';
import { enqueue, lead, runToEnd, taskEnd } from '../testing/task-runs.ts';
import { taskScenarios } from '../testing/task-scenarios.ts';
import { TaskWorld } from '../testing/task-world.ts';
import { stalledAfterMs } from './image-copy.ts';
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

  /** The first read of the image gives nothing; the following ones are answered as usual. Answers who was read from. */
  function stalling(world: TaskWorld): { readonly asked: string[]; readonly begun: Promise<void> } {
    const begun = Promise.withResolvers<void>();
    const asked: string[] = [];
    const openImage = world.hosts.openImage.bind(world.hosts);
    world.hosts.openImage = async (hostId, image) => {
      asked.push(hostId);
      if (asked.length > 1) return await openImage(hostId, image);
      begun.resolve();
      return { content: new PassThrough(), sizeBytes: 7 };
    };
    // An import ends when its bytes have come, and not before.
    const openStream = world.hosts.openStream.bind(world.hosts);
    const arrived: Promise<void>[] = [];
    world.hosts.openStream = async () => {
      const opened = await openStream();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      opened.content
        .once('finish', resolve)
        .once('close', () => reject(new KvasirError('host-failed', { reason: 'cut' })));
      promise.catch(() => {});
      arrived.push(promise);
      return opened;
    };
    world.hosts.onCall = async (method) => {
      if (method === 'image.import') await arrived.at(-1);
    };
    return { asked, begun: begun.promise };
  }

  /** At first only h1 reads the shared pool, where the image lies. */
  async function onlyFirst(world: TaskWorld, reachable: boolean): Promise<void> {
    const second = { poolId: world.sharedPool, hostId: world.h2 };
    await world.store.transaction((tx) => poolHosts.set(tx, second, { reachable }));
  }

  test('a source that is proven dead is given up at once, and another is read', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    await onlyFirst(world, false);
    const { asked, begun } = stalling(world);
    const taskId = await enqueue(world, await createLocal(world));
    const runner = await lead(world);
    await begun;
    await onlyFirst(world, true);
    await die(world, world.h1);
    assert.equal((await taskEnd(world, taskId)).state, 'succeeded');
    assert.deepEqual(asked, [world.h1, world.h2]);
    await runner.stop();
  });

  test('a source from which no byte comes is given up after a while, and another is read', {
    timeout: 20_000,
  }, async () => {
    const world = await TaskWorld.open(await open());
    await onlyFirst(world, false);
    const { asked, begun } = stalling(world);
    const taskId = await enqueue(world, await createLocal(world));
    let laterMs = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + laterMs };
    const runner = await lead(world, undefined, clock);
    await begun;
    await onlyFirst(world, true);
    laterMs = stalledAfterMs + 1000;
    assert.equal((await taskEnd(world, taskId)).state, 'succeeded');
    assert.deepEqual(asked, [world.h1, world.h2]);
    await runner.stop();
  });

  test('when there is no other source the task fails, and says so', { timeout: 20_000 }, async () => {
    const world = await TaskWorld.open(await open());
    await onlyFirst(world, false);
    const { begun } = stalling(world);
    const taskId = await enqueue(world, await createLocal(world));
    const runner = await lead(world);
    await begun;
    await die(world, world.h1);
    const { state, error } = await taskEnd(world, taskId);
    assert.deepEqual([state, error?.code], ['failed', 'host-unreachable']);
    assert.match(error!.message, new RegExp(`any that holds image ${world.image!.name}`));
    await runner.stop();
  });
});
