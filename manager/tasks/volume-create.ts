/** Creates a volume, empty or from an image, which is brought to its pool first. */
import { volumeDelete as deleteCall } from '@kvasir/api/agent/storage.ts';
import { volumes } from '../store/volumes.ts';
import { bringImages } from './image-copy.ts';
import { defineStep, defineTask } from './kind.ts';
import { createVolumeFile, volumeRef } from './volume-files.ts';

const image = defineStep('volume-create', {
  name: 'image',
  run: async (context) => {
    await bringImages(context, context.params.hostId, [context.params.volumeId]);
  },
});

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
  steps: [image, create],
  undone: async ({ tx, params, now }, because) => {
    if (because.code === 'cancelled') await volumes.remove(tx, { id: params.volumeId });
    else await volumes.update(tx, params.volumeId, { state: 'failed' }, { now });
  },
});
