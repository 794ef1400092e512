/** Trials of the tasks of volumes and images. */
import assert from 'node:assert/strict';
import { systemIds } from '../../ids.ts';
import { images } from '../../store/images.ts';
import { uploads } from '../../store/uploads.ts';
import { volumes } from '../../store/volumes.ts';
import type { TaskKindName } from '../../tasks/params.ts';
import type { TaskWorld } from '../task-world.ts';
import { imageIsOn, type Scenario, scenario, type Scenarios, target } from './scenario.ts';

const createVolume = async (world: TaskWorld): Promise<Scenario> => {
  const volume = await world.addVolume('creating');
  const check = async () => assert.equal((await volumes.get(world.store.db, volume.id)).state, 'ready');
  return scenario('volume-create', target('volume', volume), { volumeId: volume.id, hostId: world.h1 }, check);
};

const createLocalVolume = async (world: TaskWorld): Promise<Scenario> => {
  const volume = await world.addVolume('creating', world.localPool, world.h2, true);
  const check = async () => {
    assert.equal((await volumes.get(world.store.db, volume.id)).state, 'ready');
    await imageIsOn(world, world.h2);
  };
  return scenario('volume-create', target('volume', volume), { volumeId: volume.id, hostId: world.h2 }, check);
};

const resizeVolume =
  (attached: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const { vm, volume } = await world.addVm({ state: 'running', hostId: world.h1 });
    const free = await world.addVolume('ready');
    const row = attached ? volume : free;
    await world.store.transaction((tx) => volumes.update(tx, row.id, { sizeMib: 20 }, { now: 2 }));
    const params = { volumeId: row.id, hostId: world.h1, vmId: attached ? vm.id : null, fromMib: 10, toMib: 20 };
    const check = async () => {
      assert.equal((await volumes.get(world.store.db, row.id)).sizeMib, 20);
      assert.equal(world.hosts.sharedVolumes.get(row.id), 20 * 1024 * 1024);
    };
    return scenario('volume-resize', target('volume', row), params, check);
  };

const deleteVolume =
  (local: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const volume = await world.addVolume('deleting', local ? world.localPool : world.sharedPool);
    const check = async () => assert.equal(await volumes.find(world.store.db, { id: volume.id }), undefined);
    return scenario('volume-delete', target('volume', volume), { volumeId: volume.id, hostId: world.h1 }, check);
  };

const importImage =
  (uploaded: boolean) =>
  async (world: TaskWorld): Promise<Scenario> => {
    const image = await world.addImage('importing');
    const uploadId = systemIds.uuid();
    if (uploaded) {
      const whole = { sizeBytes: 7, receivedBytes: 7, sha256: null, createdAt: 1, updatedAt: 1, expiresAt: 9 };
      const of = { imageId: image.id, projectId: world.projectId, userId: systemIds.uuid(), poolId: world.sharedPool };
      await world.store.transaction((tx) => uploads.insert(tx, { ...whole, ...of, id: uploadId }));
      world.spooled.add(uploadId);
    }
    const source = uploaded ? { uploadId } : { file: 'tiny.qcow2' };
    const at = { poolId: world.sharedPool, hostId: world.h1, maxVirtualSizeBytes: null, expectedSha256: null };
    const check = async () => {
      const row = await images.get(world.store.db, image.id);
      assert.deepEqual([row.state, row.format, row.virtualSizeMib], ['ready', 'qcow2', 5]);
      assert.equal(world.spooled.size, 0);
    };
    return scenario('image-import', target('image', image), { imageId: image.id, source, ...at }, check);
  };

const deleteImage = async (world: TaskWorld): Promise<Scenario> => {
  const image = await world.addImage('deleting');
  const copies = [{ poolId: world.sharedPool, hostId: world.h1 }];
  const check = async () => assert.equal(await images.find(world.store.db, { id: image.id }), undefined);
  return scenario('image-delete', target('image', image), { imageId: image.id, copies }, check);
};

export const storageTasks = {
  'volume-create': { 'from an image': createVolume, 'where its image does not lie': createLocalVolume },
  'volume-resize': { attached: resizeVolume(true), free: resizeVolume(false) },
  'volume-delete': { free: deleteVolume(false), 'in a local pool': deleteVolume(true) },
  'image-import': { 'from a file': importImage(false), uploaded: importImage(true) },
  'image-delete': { ready: deleteImage },
} satisfies Partial<Record<TaskKindName, Scenarios>>;
