/** Deletes an image: each file, then its row. Full clones forget where they came from. */
import { imageDelete as deleteCall } from '@kvasir/api/agent/storage.ts';
import { hosts } from '../store/hosts.ts';
import { imageCopies, images } from '../store/images.ts';
import { volumes } from '../store/volumes.ts';
import { defineStep, defineTask } from './kind.ts';

const remove = defineStep('image-delete', {
  name: 'delete',
  forwardOnly: true,
  run: async ({ db, params, call }) => {
    const image = await images.get(db, params.imageId);
    // A failed image has left no file, whatever its format would have been.
    if (image.format === null) return;
    for (const { poolId, hostId } of params.copies) {
      // A host that was removed took its local pool along.
      if (!(await hosts.find(db, { id: hostId }))) continue;
      await call(hostId, deleteCall, { imageId: image.id, poolId, format: image.format }, `${poolId}/${hostId}`);
    }
  },
});

export const imageDelete = defineTask({
  kind: 'image-delete',
  cancellable: false,
  steps: [remove],
  done: async ({ tx, params }) => {
    await volumes.set(tx, { imageId: params.imageId, linked: false }, { imageId: null });
    await imageCopies.remove(tx, { imageId: params.imageId });
    await images.remove(tx, { id: params.imageId });
  },
});
