/** Where a new volume goes: the pool asked for, or the best one of the cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { hosts } from '../store/hosts.ts';
import { countOnlyCopies, imageCopies } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { TaskWorld } from '../testing/task-world.ts';
import type { Call } from './call.ts';
import { choosePool } from './storage-choice.ts';

forEachDatabase('the pool of a new volume', (open) => {
  const choose = async (world: TaskWorld, pool: string | undefined, withImage: boolean) => {
    const call = { db: world.store.db } as Call;
    const { clusterId, image } = world;
    return choosePool(call, { pool, image: withImage ? image : undefined, clusterId, field: '/body/pool' });
  };
  const code = (wanted: string) => (error: KvasirError) => error.code === wanted;

  test('is a shared one that holds the image, and before any other one that holds it', async () => {
    const world = await TaskWorld.open(await open());
    assert.equal((await choose(world, undefined, true)).id, world.sharedPool);
    const place = { poolId: world.localPool, hostId: world.h2 };
    await world.store.transaction((tx) => imageCopies.set(tx, { imageId: world.image!.id }, place));
    assert.equal((await choose(world, undefined, true)).id, world.localPool);
    assert.equal((await choose(world, undefined, false)).id, world.sharedPool);
  });

  test('is the one asked for also when the image has to be copied there', async () => {
    const world = await TaskWorld.open(await open());
    assert.equal((await choose(world, world.localPool, true)).id, world.localPool);
    const name = (await pools.get(world.store.db, world.localPool)).name;
    assert.equal((await choose(world, name, true)).id, world.localPool);
  });

  test('is refused when the image lies on no host that is up, or only half', async () => {
    const world = await TaskWorld.open(await open());
    await world.store.transaction((tx) => imageCopies.set(tx, {}, { state: 'copying' }));
    await assert.rejects(choose(world, world.localPool, true), code('host-unreachable'));
    await assert.rejects(choose(world, undefined, true), code('host-unreachable'));
    await world.store.transaction(async (tx) => {
      await imageCopies.set(tx, {}, { state: 'ready' });
      await hosts.set(tx, {}, { state: 'down' });
    });
    await assert.rejects(choose(world, world.localPool, true), code('host-unreachable'));
    assert.equal((await choose(world, world.localPool, false)).id, world.localPool);
  });

  test('a pool or a host holds images that would be lost only while no other whole copy is there', async () => {
    const world = await TaskWorld.open(await open());
    const { db } = world.store;
    const copy = { id: 'copy', imageId: world.image!.id, poolId: world.localPool, hostId: world.h1, createdAt: 1 };
    await world.store.transaction((tx) => imageCopies.insert(tx, { ...copy, state: 'copying' }));
    assert.equal(await countOnlyCopies(db, { poolId: world.sharedPool }), 1);
    assert.equal(await countOnlyCopies(db, { hostId: world.h1 }), 0);
    await world.store.transaction((tx) => imageCopies.set(tx, { id: 'copy' }, { state: 'ready' }));
    assert.equal(await countOnlyCopies(db, { poolId: world.sharedPool }), 0);
    assert.equal(await countOnlyCopies(db, { hostId: world.h1 }), 0);
    await world.store.transaction((tx) => imageCopies.remove(tx, { poolId: world.sharedPool }));
    assert.equal(await countOnlyCopies(db, { hostId: world.h1 }), 1);
    await world.store.transaction((tx) => imageCopies.set(tx, { id: 'copy' }, { state: 'copying' }));
    assert.equal(await countOnlyCopies(db, { hostId: world.h1 }), 0, 'half a copy is no image');
  });
});
