/** Deletes a volume and its file. */
import { volumeDelete as deleteCall } from '@kvasir/api/agent/storage.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { isTransient } from './transient.ts';
import { volumeRef } from './volume-files.ts';

const remove = defineStep('volume-delete', {
  name: 'delete',
  run: async ({ db, params, call }) => {
    await call(params.hostId, deleteCall, volumeRef(await volumes.get(db, params.volumeId)));
  },
});

export const volumeDelete = defineTask({
  kind: 'volume-delete',
  cancellable: false,
  steps: [remove],
  done: async ({ tx, params }) => {
    await volumes.remove(tx, { id: params.volumeId });
  },
  undone: async ({ tx, params, now }, because) => {
    // Refused: it is as it was. Unknown: the file may be gone.
    const state = isTransient(because.code) ? 'failed' : 'ready';
    await volumes.update(tx, params.volumeId, { state }, { now });
  },
});
