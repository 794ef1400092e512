/** Volumes by themselves; those of a VM come and go with `vms`. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { Volume, volumeOperations } from '@kvasir/api/resources/volume.ts';
import { vmAllows } from '@kvasir/api/resources/vm-rules.ts';
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { imageCopies, type ImageRow, images } from '../store/images.ts';
import { pools } from '../store/pools.ts';
import { taskIdOf, taskIdsByTarget } from '../store/tasks.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { deletingHost } from '../tasks/deleting-host.ts';
import { workingHost } from '../tasks/working-host.ts';
import { actorOf, forbiddenField, isOperator, ownedRow, projectOf, referredRow } from './access.ts';
import type { Call, ChangeService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { findCluster } from './clusters.ts';
import { findHost } from './hosts.ts';
import { openImages } from './images.ts';
import { checkQuota } from './quota.ts';
import { choosePool, referredPool, requireSource } from './storage-choice.ts';
import { startTask } from './tasks.ts';
import { versionedView } from './views.ts';

/** A volume in the trash has lost its name to others. */
export const liveVolumes = { named: { trashedAt: null } } as const;

export const listVolumes: ReadService<typeof volumeOperations.list> = async (call, { query }) => {
  const { project, name, state, pool, vm, sort, ...paging } = query;
  const from = await projectOf(call, project);
  const poolId = pool === undefined ? undefined : (await referredPool(call, pool, '/query/pool')).id;
  const attachedTo = vm === undefined ? undefined : await referredRow(call, vms, vm, from, '/query/vm', liveVolumes);
  const page = await volumes.list(call.db, {
    ...paging,
    sort: (sort ?? 'name').replace('sizeGib', 'sizeMib'),
    where: { projectId: from.id, name, state, poolId, trashedAt: null },
    matching: attachedTo ? [sql<boolean>`id in (select volume_id from vm_disks where vm_id = ${attachedTo.id})`] : [],
  });
  return { ...page, items: await volumeViews(call, page.items) };
};

export const getVolume: ReadService<typeof volumeOperations.get> = async (call, { params, query }) =>
  volumeView(call, await ownedRow(call, volumes, params.volume, query.project, liveVolumes));

export const createVolume: ChangeService<typeof volumeOperations.create> = async (change, { query, body }) => {
  checkName(body.name);
  const project = await projectOf(change, query.project);
  if (body.host !== undefined && actorOf(change).systemRole !== 'admin') throw forbiddenField(change, '/body/host');
  const host = body.host === undefined ? undefined : await findHost(change, body.host);
  const image = body.image === undefined ? undefined : await readyImage(change, body.image, project, '/body/image');
  const named = body.pool === undefined ? undefined : await referredPool(change, body.pool, '/body/pool');
  const clusterId = named?.clusterId ?? host?.clusterId ?? (await findCluster(change, undefined)).id;
  const pool = await choosePool(change, { pool: body.pool, image, clusterId, field: '/body/pool' });
  const sizeMib = volumeSizeMib(body.sizeGib, image, '/body/sizeGib');
  const linked = image !== undefined && (body.clone ?? 'linked') === 'linked';
  const format = body.format ?? 'qcow2';
  if (linked && format === 'raw') throw invalidField('/body/format', 'must be qcow2 for a linked clone');
  await checkQuota(change.tx, project, { volumes: 1, storageGib: sizeMib / 1024 });
  const holders = image && !pool.shared ? await localHolders(change.tx, image, pool.id) : [];
  const hostId = await workingHost(change.tx, pool, host?.id ?? null, holders[0]);
  if (image && !pool.shared && !holders.includes(hostId)) await requireSource(change, image);
  const row: VolumeRow = {
    ...fresh(change),
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    projectId: project.id,
    poolId: pool.id,
    hostId: pool.shared ? null : hostId,
    state: 'creating',
    format,
    sizeMib,
    imageId: image?.id ?? null,
    linked,
    trashedAt: null,
  };
  await volumes.insert(change.tx, row);
  await announceLife(change, 'created', volumes.kind, row);
  return startTask(change, { kind: 'volume-create', params: { volumeId: row.id, hostId }, ...about(row) });
};

export const updateVolume: ChangeService<typeof volumeOperations.update> = async (change, { params, query, body }) => {
  checkName(body.name);
  const row = await ownedRow(change, volumes, params.volume, query.project, liveVolumes);
  return volumeView(change, await updateRow(change, volumes, row, body));
};

export const resizeVolume: ChangeService<typeof volumeOperations.resize> = async (change, { params, query, body }) => {
  const row = await ownedRow(change, volumes, params.volume, query.project, liveVolumes);
  requireReady(row, 'resize');
  const toMib = Math.round(body.sizeGib * 1024);
  if (toMib <= row.sizeMib)
    throw invalidField('/body/sizeGib', `must be larger than ${row.sizeMib / 1024}: volumes only grow`);
  await checkQuota(change.tx, await projectOf(change, row.projectId), { storageGib: (toMib - row.sizeMib) / 1024 });
  const vm = await vmOf(change.tx, row.id);
  if (vm && !vmAllows('resize', { state: vm.state, taskId: null })) {
    throw new KvasirError('wrong-state', {
      action: 'resize a disk of',
      kind: vms.kind,
      name: vm.name,
      state: vm.state,
    });
  }
  const pool = await pools.get(change.tx, row.poolId);
  const hostId = vm?.hostId ?? (await workingHost(change.tx, pool, row.hostId));
  await volumes.update(change.tx, row.id, { sizeMib: toMib }, { now: change.env.clock.now() });
  return startTask(change, {
    kind: 'volume-resize',
    params: { volumeId: row.id, hostId, vmId: vm?.id ?? null, fromMib: row.sizeMib, toMib },
    ...about(row),
    locks: vm ? [{ kind: 'vm', id: vm.id, name: vm.name }] : [],
  });
};

export const deleteVolume: ChangeService<typeof volumeOperations.delete> = async (change, { params, query }) => {
  const row = await ownedRow(change, volumes, params.volume, query.project, liveVolumes);
  checkRevision(change, volumes.kind, row);
  if (row.state === 'creating' || row.state === 'deleting') {
    throw new KvasirError('wrong-state', { action: 'delete', kind: volumes.kind, name: row.name, state: row.state });
  }
  const vm = await vmOf(change.tx, row.id);
  if (vm) throw new KvasirError('in-use', { kind: volumes.kind, name: row.name, by: `the VM ${vm.name}` });
  const hostId = await deletingHost(change.tx, row);
  await volumes.update(change.tx, row.id, { state: 'deleting' }, { now: change.env.clock.now() });
  return startTask(change, { kind: 'volume-delete', params: { volumeId: row.id, hostId }, ...about(row) });
};

/** An image that volumes may be made from now. @throws not-found, wrong-state */
export async function readyImage(
  call: Call,
  nameOrId: string,
  project: Parameters<typeof referredRow>[3],
  field: string,
): Promise<ImageRow> {
  const image = await referredRow(call, images, nameOrId, project, field, openImages);
  if (image.state === 'ready') return image;
  throw new KvasirError('wrong-state', { action: 'use', kind: images.kind, name: image.name, state: image.state });
}

/** Size of a new volume in MiB; an image's own size at least. @throws invalid-request */
export function volumeSizeMib(sizeGib: number | undefined, image: ImageRow | undefined, field: string): number {
  const least = image?.virtualSizeMib ?? 0;
  if (sizeGib === undefined) {
    if (image && least > 0) return least;
    throw invalidField(field, 'is required without an image');
  }
  const sizeMib = Math.round(sizeGib * 1024);
  if (sizeMib < least) throw invalidField(field, `must be at least the size of the image, ${least / 1024}`);
  return sizeMib;
}

/** The VM that a volume is attached to. */
export async function vmOf(db: Executor, volumeId: string): Promise<VmRow | undefined> {
  const disk = await vmDisks.find(db, { volumeId });
  return disk && vms.get(db, disk.vmId);
}

export function requireReady(row: VolumeRow, action: string): void {
  if (row.state === 'ready' && row.trashedAt === null) return;
  const state = row.trashedAt === null ? row.state : 'in the trash';
  throw new KvasirError('wrong-state', { action, kind: volumes.kind, name: row.name, state });
}

/** Hosts with a copy of the image in this local pool. */
async function localHolders(db: Executor, image: ImageRow, poolId: string): Promise<string[]> {
  const copies = await imageCopies.select(db, { imageId: image.id, poolId, state: 'ready' });
  return copies.flatMap(({ hostId }) => (hostId === null ? [] : [hostId]));
}

function about(row: VolumeRow) {
  return { target: { kind: 'volume', id: row.id, name: row.name }, projectId: row.projectId };
}

async function volumeView(call: Call, row: VolumeRow): Promise<Volume> {
  const [view] = await volumeViews(call, [row]);
  return { ...view!, taskId: await taskIdOf(call.db, row.id) };
}

async function volumeViews(call: Call, rows: readonly VolumeRow[]): Promise<Volume[]> {
  const ids = rows.map(({ id }) => id);
  const attached = new Map(
    (await vmDisks.select(call.db, { volumeId: ids })).map(({ volumeId, vmId }) => [volumeId, vmId]),
  );
  const tasks = await taskIdsByTarget(call.db, ids);
  const seesHosts = isOperator(actorOf(call));
  return rows.map((row) => {
    const { name, description, labels, projectId, poolId, state, format, imageId, linked } = row;
    return {
      ...versionedView(row),
      name,
      description,
      labels: { ...labels },
      projectId,
      poolId,
      hostId: seesHosts ? row.hostId : null,
      state,
      format,
      sizeGib: row.sizeMib / 1024,
      imageId,
      linked,
      vmId: attached.get(row.id) ?? null,
      taskId: tasks.get(row.id) ?? null,
    };
  });
}
