/** Disks that a request asks for: existing volumes, or new ones from an image or empty. Decides everything but the host. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { DiskCreate } from '@kvasir/api/resources/vm.ts';
import { imageCopies, type ImageRow } from '../store/images.ts';
import { type PoolRow, pools } from '../store/pools.ts';
import type { ProjectRow } from '../store/projects.ts';
import { taskIdOf } from '../store/tasks.ts';
import { type VmDiskRow, vmDisks } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { imageSource } from '../tasks/working-host.ts';
import { referredRow } from './access.ts';
import type { Call, Change } from './call.ts';
import { fresh } from './changes.ts';
import { choosePool } from './storage-choice.ts';
import { liveVolumes, readyImage, requireReady, vmOf, volumeSizeMib } from './volumes.ts';

export interface NewDisk {
  readonly pool: PoolRow;
  readonly bus: VmDiskRow['bus'];
  /** Set: attach this one. Else make one of the fields below. */
  readonly existing: VolumeRow | undefined;
  readonly image: ImageRow | undefined;
  readonly linked: boolean;
  readonly sizeMib: number;
  /** Hosts of a local pool that have the image, when it can be copied to no other now; undefined: any. */
  readonly onlyHostIds: readonly string[] | undefined;
}

interface Asking {
  readonly call: Call;
  readonly project: ProjectRow;
  readonly clusterId: string;
}

/** @param field pointer to this disk in the request, for refusals; `sizeField` where its size stands elsewhere */
export async function planDisk(
  asking: Asking,
  disk: DiskCreate,
  field: string,
  sizeField = `${field}/sizeGib`,
): Promise<NewDisk> {
  const bus = disk.bus ?? 'virtio';
  if (disk.volume !== undefined) return existingDisk(asking, disk, field, bus);
  const { call, project, clusterId } = asking;
  const image = disk.image === undefined ? undefined : await readyImage(call, disk.image, project, `${field}/image`);
  if (!image && disk.clone !== undefined) throw invalidField(`${field}/clone`, 'needs an image');
  const pool = await choosePool(call, { pool: disk.pool, image, clusterId, field: `${field}/pool` });
  return {
    pool,
    bus,
    existing: undefined,
    image,
    linked: image !== undefined && (disk.clone ?? 'linked') === 'linked',
    sizeMib: volumeSizeMib(disk.sizeGib, image, sizeField),
    onlyHostIds: image && !pool.shared ? await onlyHolders(call, image, pool) : undefined,
  };
}

/** A host without the image is fine as long as the image can be read somewhere. */
async function onlyHolders({ db }: Call, image: ImageRow, pool: PoolRow): Promise<string[] | undefined> {
  if (await imageSource(db, image.id)) return undefined;
  const copies = await imageCopies.select(db, { imageId: image.id, poolId: pool.id, state: 'ready' });
  return copies.flatMap(({ hostId }) => (hostId === null ? [] : [hostId]));
}

async function existingDisk(asking: Asking, disk: DiskCreate, field: string, bus: NewDisk['bus']): Promise<NewDisk> {
  const { call, project, clusterId } = asking;
  for (const other of ['image', 'clone', 'pool', 'sizeGib'] as const) {
    if (disk[other] !== undefined) throw invalidField(`${field}/${other}`, 'does not go with an existing volume');
  }
  const volume = await referredRow(call, volumes, disk.volume ?? '', project, `${field}/volume`, liveVolumes);
  requireReady(volume, 'attach');
  const vm = await vmOf(call.db, volume.id);
  if (vm) throw new KvasirError('in-use', { kind: volumes.kind, name: volume.name, by: `the VM ${vm.name}` });
  const task = await taskIdOf(call.db, volume.id);
  if (task !== null) throw new KvasirError('busy', { kind: volumes.kind, name: volume.name, task });
  const pool = await pools.get(call.db, volume.poolId);
  if (pool.clusterId !== clusterId) throw invalidField(`${field}/volume`, 'lies in a pool of another cluster');
  return { pool, bus, existing: volume, image: undefined, linked: false, sizeMib: 0, onlyHostIds: undefined };
}

/** What new disks add to a project's use. */
export function diskUsage(disks: readonly NewDisk[]): { readonly volumes: number; readonly storageGib: number } {
  const made = disks.filter(({ existing }) => !existing);
  return { volumes: made.length, storageGib: made.reduce((sum, { sizeMib }) => sum + sizeMib, 0) / 1024 };
}

interface Owner {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
}

/** Writes the disk (and its new volume, `creating`) as the next one of the VM. */
export async function insertDisk(change: Change, vm: Owner, disk: NewDisk, hostId: string): Promise<VolumeRow> {
  const attached = await vmDisks.select(change.tx, { vmId: vm.id }, 'position');
  const device = nextDevice(attached, disk.bus);
  const volume = disk.existing ?? (await insertVolume(change, vm, disk, hostId, device));
  const position = (attached.at(-1)?.position ?? -1) + 1;
  await vmDisks.insert(change.tx, {
    volumeId: volume.id,
    vmId: vm.id,
    device,
    bus: disk.bus,
    position,
    readOnly: false,
  });
  return volume;
}

async function insertVolume(
  change: Change,
  vm: Owner,
  disk: NewDisk,
  hostId: string,
  device: string,
): Promise<VolumeRow> {
  return volumes.insert(change.tx, {
    ...fresh(change),
    name: await freeName(change, vm.projectId, `${vm.name.slice(0, 48)}-${device}`),
    description: '',
    labels: {},
    projectId: vm.projectId,
    poolId: disk.pool.id,
    hostId: disk.pool.shared ? null : hostId,
    state: 'creating',
    format: 'qcow2',
    sizeMib: disk.sizeMib,
    imageId: disk.image?.id ?? null,
    linked: disk.linked,
    trashedAt: null,
  });
}

/** `web-vda`, or `web-vda-2` when a volume has that name already. */
async function freeName(change: Change, projectId: string, wanted: string): Promise<string> {
  for (let count = 1; ; count += 1) {
    const name = count === 1 ? wanted : `${wanted}-${count}`;
    if (!(await volumes.find(change.tx, { projectId, name, trashedAt: null }))) return name;
  }
}

function nextDevice(attached: readonly VmDiskRow[], bus: VmDiskRow['bus']): string {
  const prefix = bus === 'virtio' ? 'vd' : 'sd';
  const taken = new Set(attached.map(({ device }) => device));
  const free = 'abcdefghijklmnopqrstuvwxyz'
    .split('')
    .map((letter) => prefix + letter)
    .find((device) => !taken.has(device));
  if (free) return free;
  throw new KvasirError('unsupported', { reason: 'The VM has as many disks on that bus as it can have' });
}
