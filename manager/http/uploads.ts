/**
 * The tus endpoint for image content: HEAD says how much has arrived, PATCH carries on from there. Uploads are announced by
 * `image.upload`, never created here; whoever may not write to one is refused before a byte is read. Content lies with the manager that
 * took it, and the one that leads imports it: so that one alone takes any.
 */
import { FileStore } from '@tus/file-store';
import { Server, Upload } from '@tus/server';
import type { FastifyInstance } from 'fastify';
import { stat } from 'node:fs/promises';
import { authenticate } from '../services/authentication.ts';
import type { Environment } from '../services/call.ts';
import { type Leads, requireLead } from '../services/leading.ts';
import { finishUpload, uploadOf } from '../services/uploads.ts';
import { bearerToken } from './headers.ts';

const path = '/v1/uploads';

export async function addUploads(app: FastifyInstance, env: Environment, leads: Leads): Promise<void> {
  await env.spool.prepare();
  const files = new FileStore({ directory: env.spool.directory });
  const tus = new Server({
    path,
    datastore: files,
    respectForwardedHeaders: false,
    relativeLocation: true,
    onUploadFinish: async (_request, upload) => {
      await finishUpload(env, upload.id);
      return {};
    },
    onResponseError: (_request, error) => {
      app.log.warn({ err: error }, 'upload failed');
      return undefined;
    },
  });
  const beginning = new Map<string, Promise<void>>();
  /** Requests that come at once wait for the one file: made again, it would lose what the first of them wrote. */
  const begin = async (upload: AnnouncedUpload): Promise<void> => {
    const { id } = upload;
    const begun = beginning.get(id) ?? createFile(files, env, upload).finally(() => beginning.delete(id));
    beginning.set(id, begun);
    await begun;
  };
  await app.register(async (scope) => {
    // The content goes to the store as it comes; nothing buffers it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/offset+octet-stream', (_request, _payload, done) => done(null));
    scope.route<{ Params: { id: string } }>({
      method: ['HEAD', 'PATCH'],
      url: `${path}/:id`,
      onRequest: async (request) => {
        const actor = await authenticate(env, bearerToken(request.headers));
        const upload = await uploadOf(env, actor, request.params.id);
        await requireLead(env, leads, actor);
        await begin(upload);
        if (request.method === 'HEAD') await finishUpload(env, upload.id).catch(() => {});
      },
      handler: async (request, reply) => {
        reply.hijack();
        await tus.handle(request.raw, reply.raw);
      },
    });
  });
}

interface AnnouncedUpload {
  readonly id: string;
  readonly sizeBytes: number;
}

/** The first request for an upload makes its file; the size was fixed when it was announced. */
async function createFile(files: FileStore, env: Environment, { id, sizeBytes }: AnnouncedUpload): Promise<void> {
  try {
    await stat(`${env.spool.path(id)}.json`);
  } catch {
    await files.create(new Upload({ id, offset: 0, size: sizeBytes }));
  }
}
