/** Creates a volume, empty or from an image. */
import { volumeDelete as deleteCall } from '@kvasir/api/agent/storage.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';
import { createVolumeFile, volumeRef } from './volume-files.ts';

const create = defineStep('volume-create', {
  name: 'create',
  run: async (context) => {
    await createVolumeFile(context, context.params.hostId, context.params.volumeId);
  },
  apply: async ({ tx, params, now }) => {
    await volumes.update(tx, params.volumeId, { state: 'ready' }, { now });
  },
  undo: async ({ db, params, call }) => {
    await call(params.hostId, deleteCall, volumeRef(await volumes.get(db, params.volumeId)));
  },
});

export const volumeCreate = defineTask({
  kind: 'volume-create',
  cancellable: true,
  steps: [create],
  undone: async ({ tx, params, now }, because) => {
    if (because.code === 'cancelled') await volumes.remove(tx, { id: params.volumeId });
    else await volumes.update(tx, params.volumeId, { state: 'failed' }, { now });
  },
});
