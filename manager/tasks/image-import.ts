/** Takes an image into a pool: from a file in the pool's import folder, or from a finished upload by streaming. */
import { imageDelete as deleteCall, imageImport as importCall } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { imageCopies, images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { uploads } from '../store/uploads.ts';
import { defineStep, defineTask } from './kind.ts';
import { whileSending } from './stream-content.ts';
import { bytesPerMib } from './volume-files.ts';

/** The upload came with the intent; when the import comes to nothing it is of no more use. */
const upload = defineStep('image-import', {
  name: 'upload',
  run: async ({ db, params }) => {
    if (!('uploadId' in params.source)) return;
    const { id, sizeBytes, receivedBytes } = await uploads.get(db, params.source.uploadId);
    if (receivedBytes === sizeBytes) return;
    throw new KvasirError('wrong-state', { action: 'import', kind: 'upload', name: id, state: 'incomplete' });
  },
  undo: async ({ params, spool }) => {
    if ('uploadId' in params.source) await spool.remove(params.source.uploadId);
  },
  undoAlways: true,
  weight: 0,
});

const take = defineStep('image-import', {
  name: 'import',
  run: async (context) => {
    const { db, params, call, spool } = context;
    const { imageId, poolId, hostId, maxVirtualSizeBytes, expectedSha256 } = params;
    const request = { imageId, poolId, maxVirtualSizeBytes, expectedSha256 };
    if ('file' in params.source) return await call(hostId, importCall, { ...request, source: params.source });
    const { uploadId } = params.source;
    const { sizeBytes } = await uploads.get(db, uploadId);
    return await whileSending(context, hostId, await spool.open(uploadId), (streamId) =>
      call(hostId, importCall, { ...request, source: { streamId, sizeBytes } }),
    );
  },
  apply: async ({ tx, params, now, ids }, info) => {
    const pool = await pools.get(tx, params.poolId);
    const facts = {
      format: info.format,
      virtualSizeMib: Math.ceil(info.virtualSizeBytes / bytesPerMib),
      sizeBytes: info.sizeBytes,
      sha256: info.sha256,
    };
    await images.update(tx, params.imageId, { state: 'ready', ...facts }, { now });
    await imageCopies.insert(tx, {
      id: ids.uuid(),
      imageId: params.imageId,
      poolId: params.poolId,
      hostId: pool.shared ? null : params.hostId,
      state: 'ready',
      createdAt: now,
    });
  },
  /** Its format may not be known. */
  undo: async ({ params, call }) => {
    for (const format of ['qcow2', 'raw'] as const) {
      await call(params.hostId, deleteCall, { imageId: params.imageId, poolId: params.poolId, format }, format);
    }
  },
  weight: 9,
});

const clean = defineStep('image-import', {
  name: 'clean',
  forwardOnly: true,
  run: async ({ params, spool }) => {
    if ('uploadId' in params.source) await spool.remove(params.source.uploadId);
  },
});

export const imageImport = defineTask({
  kind: 'image-import',
  cancellable: true,
  steps: [upload, take, clean],
  done: async ({ tx, params }) => {
    if ('uploadId' in params.source) await uploads.remove(tx, { id: params.source.uploadId });
  },
  undone: async ({ tx, params, now }, because) => {
    await imageCopies.remove(tx, { imageId: params.imageId });
    await uploads.remove(tx, { imageId: params.imageId });
    if (because.code === 'cancelled') await images.remove(tx, { id: params.imageId });
    else await images.update(tx, params.imageId, { state: 'failed' }, { now });
  },
});
