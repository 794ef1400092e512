/** Uploads under way: who may write to one, and that the last byte is there. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { projects } from '../store/projects.ts';
import { type UploadRow, uploads } from '../store/uploads.ts';
import { importUpload } from '../tasks/upload-import-intent.ts';
import { isId, roleIn } from './access.ts';
import type { Actor, Environment } from './call.ts';

/** The upload, for a member of its project, while its image waits for content. @throws unauthenticated, not-found, forbidden */
export async function uploadOf(env: Environment, actor: Actor | undefined, id: string): Promise<UploadRow> {
  if (!actor) throw new KvasirError('unauthenticated');
  const missing = new KvasirError('not-found', { kind: uploads.kind, id });
  const row = isId(id) ? await uploads.find(env.store.db, { id }) : undefined;
  const role = row && roleIn(actor, await projects.get(env.store.db, row.projectId));
  if (!row || !role || row.expiresAt <= env.clock.now()) throw missing;
  if (role === 'viewer') throw new KvasirError('forbidden', { operation: 'image.upload' });
  return row;
}

/** All bytes are there: the import begins. Does nothing when it has begun already. @throws host-unreachable */
export async function finishUpload(env: Environment, id: string): Promise<void> {
  await importUpload(env, id);
}
