/** Images and volumes. One change at a time for each; reading an image takes no lock, for images never change. */
import { pipeline } from 'node:stream/promises';
import {
  imageDelete,
  imageImport,
  imageOpen,
  storageList,
  volumeCreate,
  volumeDelete,
  volumeResize,
} from '@kvasir/api/agent/storage.ts';
import { LinkClosedError } from '@kvasir/api/agent/wire/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { handler, type Handler, type HostContext } from './handler.ts';

export function storageHandlers(host: HostContext): Handler[] {
  const { storage } = host.drivers;
  return [
    handler(imageImport, async ({ source, ...request }, { streams, ...call }) => {
      if (!('streamId' in source)) {
        return host.locks.run(`image:${request.imageId}`, () => storage.importImage({ ...request, source }, call));
      }
      const content = streams.claim(source.streamId);
      content.end();
      try {
        return await host.locks.run(`image:${request.imageId}`, () =>
          storage.importImage({ ...request, source: { content, sizeBytes: source.sizeBytes } }, call),
        );
      } catch (error) {
        // The content broke off with its link: the manager tries again, with a new stream.
        if (content.errored instanceof LinkClosedError)
          throw new KvasirError('host-unreachable', { host: host.identity.name });
        throw error;
      } finally {
        content.destroy();
      }
    }),
    handler(imageDelete, (image) =>
      host.locks.run(`image:${image.imageId}`, async () => {
        await storage.deleteImage(image);
        return {};
      }),
    ),
    handler(imageOpen, async (image, { streams }) => {
      const { content, sizeBytes } = await storage.openImage(image);
      const { streamId, stream } = streams.open();
      stream.resume();
      pipeline(content, stream).catch((error: Error) => stream.destroy(error));
      return { streamId, sizeBytes };
    }),
    handler(volumeCreate, (request, call) =>
      host.locks.run(`volume:${request.volumeId}`, () => storage.createVolume(request, call)),
    ),
    handler(volumeResize, ({ sizeBytes, ...volume }) =>
      host.locks.run(`volume:${volume.volumeId}`, () => storage.resizeVolume(volume, sizeBytes)),
    ),
    handler(volumeDelete, (volume) =>
      host.locks.run(`volume:${volume.volumeId}`, async () => {
        await storage.deleteVolume(volume);
        return {};
      }),
    ),
    handler(storageList, ({ poolId }) => storage.list(poolId)),
  ];
}
