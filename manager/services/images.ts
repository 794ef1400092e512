/** Images: imported from a pool's folder or uploaded, then never changed. Only the system's administrator makes one public. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { RequestOf, ResponseOf } from '@kvasir/api/operation.ts';
import type { Image, imageOperations } from '@kvasir/api/resources/image.ts';
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { imageCopies, type ImageRow, images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import type { ProjectRow } from '../store/projects.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { uploads } from '../store/uploads.ts';
import { storageLeftBytes } from '../store/usage.ts';
import { volumes } from '../store/volumes.ts';
import { workingHost } from '../tasks/working-host.ts';
import { actorOf, forbiddenField, ownedRow, projectOf } from './access.ts';
import type { Call, Change, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { findHost } from './hosts.ts';
import { checkQuota } from './quota.ts';
import { referredPool } from './storage-choice.ts';
import { startTask } from './tasks.ts';
import { versionedView } from './views.ts';

export const openImages = { openTo: { public: true } } as const;

/** An announced upload that gets no content for so long is thrown away. */
export const uploadLifetimeMs = 86_400_000;

export const listImages: ReadService<typeof imageOperations.list> = async (call, { query }) => {
  const { project, name, state, public: open, ...paging } = query;
  const { id } = await projectOf(call, project);
  const matching = [sql<boolean>`(project_id = ${id} or public = 1)`];
  const page = await images.list(call.db, { sort: 'name', ...paging, where: { name, state, public: open }, matching });
  return { ...page, items: await imageViews(call.db, page.items) };
};

export const getImage: ReadService<typeof imageOperations.get> = async (call, { params, query }) =>
  imageView(call.db, await ownedRow(call, images, params.image, query.project, openImages));

export const importImage: ChangeService<typeof imageOperations.import> = async (change, { query, body }) => {
  const project = await projectOf(change, query.project);
  const pool = await referredPool(change, body.pool, '/body/pool');
  const asked = body.host === undefined ? null : (await findHost(change, body.host)).id;
  const hostId = await workingHost(change.tx, pool, asked);
  const row = await insertImage(change, project, body, 'importing');
  return startTask(change, {
    kind: 'image-import',
    params: {
      imageId: row.id,
      poolId: pool.id,
      hostId,
      source: { file: body.file },
      maxVirtualSizeBytes: await storageLeftBytes(change.tx, project),
      expectedSha256: null,
    },
    target: { kind: 'image', id: row.id, name: row.name },
    projectId: project.id,
  });
};

export const announceUpload: OpenService<typeof imageOperations.upload> = async (call, request) => {
  const freeBytes = await call.env.spool.freeBytes();
  return call.change((change) => insertUpload(change, request, freeBytes));
};

async function insertUpload(
  change: Change,
  { query, body }: RequestOf<typeof imageOperations.upload>,
  freeBytes: number,
): Promise<ResponseOf<typeof imageOperations.upload>> {
  const project = await projectOf(change, query.project);
  const pool = await referredPool(change, body.pool, '/body/pool');
  await checkQuota(change.tx, project, { storageGib: body.sizeBytes / 2 ** 30 });
  const pending = await uploads.select(change.tx);
  const promised = pending.reduce((sum, upload) => sum + upload.sizeBytes - upload.receivedBytes, 0);
  if (promised + body.sizeBytes > freeBytes) {
    throw new KvasirError('unsupported', { reason: 'The manager has no room for an upload of that size now' });
  }
  const row = await insertImage(change, project, body, 'uploading');
  const now = change.env.clock.now();
  const id = change.env.ids.uuid();
  await uploads.insert(change.tx, {
    id,
    imageId: row.id,
    projectId: project.id,
    userId: actorOf(change).userId,
    poolId: pool.id,
    sizeBytes: body.sizeBytes,
    receivedBytes: 0,
    sha256: body.sha256 ?? null,
    createdAt: now,
    updatedAt: now,
    expiresAt: now + uploadLifetimeMs,
  });
  return { image: await imageView(change.tx, row), uploadPath: `/v1/uploads/${id}` };
}

export const updateImage: ChangeService<typeof imageOperations.update> = async (change, { params, query, body }) => {
  checkName(body.name);
  const row = await ownedRow(change, images, params.image, query.project, openImages);
  if (body.public === true && !row.public) requirePublisher(change);
  return imageView(change.tx, await updateRow(change, images, row, body));
};

export const deleteImage: ChangeService<typeof imageOperations.delete> = async (change, { params, query }) => {
  const row = await ownedRow(change, images, params.image, query.project, openImages);
  checkRevision(change, images.kind, row);
  if (row.state === 'importing' || row.state === 'deleting') {
    throw new KvasirError('wrong-state', { action: 'delete', kind: images.kind, name: row.name, state: row.state });
  }
  const [user] = await volumes.select(change.tx, { imageId: row.id, linked: true });
  const [maker] = await volumes.select(change.tx, { imageId: row.id, state: 'creating' });
  const holder = user ?? maker;
  if (holder) throw new KvasirError('in-use', { kind: images.kind, name: row.name, by: `the volume ${holder.name}` });
  const copies = [];
  for (const copy of await imageCopies.select(change.tx, { imageId: row.id })) {
    const pool = await pools.get(change.tx, copy.poolId);
    // A copy on a host that is away is deleted when that host is back: the task waits for it.
    copies.push({ poolId: pool.id, hostId: copy.hostId ?? (await workingHost(change.tx, pool, null)) });
  }
  await uploads.remove(change.tx, { imageId: row.id });
  await images.update(change.tx, row.id, { state: 'deleting' }, { now: change.env.clock.now() });
  return startTask(change, {
    kind: 'image-delete',
    params: { imageId: row.id, copies },
    target: { kind: 'image', id: row.id, name: row.name },
    projectId: row.projectId,
  });
};

interface NewImage {
  readonly name: string;
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly public?: boolean;
}

async function insertImage(
  change: Change,
  project: ProjectRow,
  body: NewImage,
  state: 'importing' | 'uploading',
): Promise<ImageRow> {
  checkName(body.name);
  if (body.public === true) requirePublisher(change);
  const row: ImageRow = {
    ...fresh(change),
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    projectId: project.id,
    public: body.public ?? false,
    state,
    format: null,
    virtualSizeMib: null,
    sizeBytes: null,
    sha256: null,
  };
  await images.insert(change.tx, row);
  await announceLife(change, 'created', images.kind, row);
  return row;
}

/** Every project would trust a public image, so no tenant may make one. */
function requirePublisher(call: Call): void {
  if (actorOf(call).systemRole !== 'admin') throw forbiddenField(call, '/body/public');
}

async function imageView(db: Executor, row: ImageRow): Promise<Image> {
  return (await imageViews(db, [row]))[0]!;
}

async function imageViews(db: Executor, rows: readonly ImageRow[]): Promise<Image[]> {
  const ids = rows.map(({ id }) => id);
  const copies = await imageCopies.select(db, { imageId: ids, state: 'ready' });
  const tasks = await taskIdsByTarget(db, ids);
  return rows.map((row) => {
    const { name, description, labels, projectId, state, format, virtualSizeMib, sizeBytes, sha256 } = row;
    const poolIds = copies.filter(({ imageId }) => imageId === row.id).map(({ poolId }) => poolId);
    return {
      ...versionedView(row),
      name,
      description,
      labels: { ...labels },
      projectId,
      public: row.public,
      state,
      format,
      virtualSizeMib,
      sizeBytes,
      sha256,
      poolIds: [...new Set(poolIds)],
      taskId: tasks.get(row.id) ?? null,
    };
  });
}
