/** Deletes a volume and its file. When that fails the host is asked whether the file is still there. */
import { storageList, volumeDelete as deleteCall } from '@kvasir/api/agent/storage.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { volumeRef } from './volume-files.ts';

const remove = defineStep('volume-delete', {
  name: 'delete',
  run: async ({ db, params, call }) => {
    await call(params.hostId, deleteCall, volumeRef(await volumes.get(db, params.volumeId)));
  },
  undo: async ({ store, db, params, call, clock }) => {
    const { id, poolId } = await volumes.get(db, params.volumeId);
    const { volumeIds } = await call(params.hostId, storageList, { poolId });
    const state = volumeIds.includes(id) ? 'ready' : 'failed';
    await store.transaction((tx) => volumes.update(tx, id, { state }, { now: clock.now() }));
  },
});

export const volumeDelete = defineTask({
  kind: 'volume-delete',
  cancellable: false,
  steps: [remove],
  done: async ({ tx, params }) => {
    await volumes.remove(tx, { id: params.volumeId });
  },
});
