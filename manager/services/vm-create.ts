/**
 * Creating a VM: everything is decided here, in one transaction: disks, NICs, quota, host, names. The task only carries it
 * out. The rows exist from now on in state `creating`, so the capacity is taken before anything happens on a host.
 */
import { invalidField } from '@kvasir/api/errors.ts';
import type { CloudInit, DiskCreate, NicCreate, VmCreate } from '@kvasir/api/resources/vm.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { PlacementRequest } from '@kvasir/control/placement/world.ts';
import type { Executor } from '../store/database.ts';
import { hosts } from '../store/hosts.ts';
import { functionsNeeded } from '../store/virtual-functions.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { actorOf, forbiddenField, projectOf } from './access.ts';
import { requireAdmission } from './admission.ts';
import type { ChangeService } from './call.ts';
import { announce, announceLife, checkName, fresh } from './changes.ts';
import { changeVmHa } from './ha-settings.ts';
import { findCluster } from './clusters.ts';
import { findHost } from './hosts.ts';
import { chooseHostOrWakeOne } from './placement.ts';
import { checkQuota } from './quota.ts';
import { startTask } from './tasks.ts';
import { diskUsage, insertDisk, type NewDisk, planDisk } from './vm-disks.ts';
import { directNetworks, insertNic, type NewNic, planNic } from './vm-nics.ts';

const defaultMemoryMib = 1024;
const waitsForHost = 'waits for a host that is being woken, for no other has room';

export const createVm: ChangeService<typeof vmOperations.create> = async (change, { query, body }) => {
  const project = await projectOf(change, query.project);
  checkName(body.name);
  if (body.host !== undefined && actorOf(change).systemRole !== 'admin') throw forbiddenField(change, '/body/host');
  const askedHost = body.host === undefined ? undefined : await findHost(change, body.host);
  const clusterId =
    body.cluster === undefined && askedHost ? askedHost.clusterId : (await findCluster(change, body.cluster)).id;
  const sizes = vmSizes(body);
  const disks: NewDisk[] = [];
  for (const [disk, ...fields] of askedDisks(body)) {
    disks.push(await planDisk({ call: change, project, clusterId }, disk, ...fields));
  }
  refuseTwice(disks);
  const nics: NewNic[] = [];
  for (const [nic, field] of askedNics(body)) nics.push(await planNic(change, project, nic, field));
  await checkQuota(change.tx, project, {
    vms: 1,
    cpus: sizes.cpus,
    memoryMib: sizes.memoryMib,
    ports: nics.length,
    ...diskUsage(disks),
  });
  const base = fresh(change);
  const groups = { affinity: body.affinity ?? [], antiAffinity: body.antiAffinity ?? [] };
  const cpuModel = body.cpuModel ?? 'host';
  const { hostId, sleeps } = await chooseHostOrWakeOne(change, clusterId, body.name, {
    vmId: base.id,
    projectId: project.id,
    cpus: sizes.cpus,
    memoryMib: sizes.memoryMib,
    cpuModel,
    ...groups,
    ...(await diskReach(change.tx, clusterId, disks)),
    networkIds: nics.map(({ network }) => network.id),
    virtualFunctions: await functionsNeeded(change.tx, base.id, directNetworks(nics)),
    hostId: askedHost?.id,
  });
  const start = body.start ?? true;
  const row: VmRow = {
    ...base,
    name: body.name,
    description: body.description ?? '',
    labels: body.labels ?? {},
    projectId: project.id,
    clusterId,
    hostId,
    reservedHostId: null,
    state: 'creating',
    stateReason: sleeps ? waitsForHost : null,
    desiredState: start ? 'running' : 'stopped',
    ...sizes,
    cpuModel,
    firmware: body.firmware ?? 'bios',
    bootOrder: body.bootOrder ?? (disks.length > 0 ? ['disk'] : ['network']),
    ...groups,
    cloudInit: cloudInitOf(body),
    guest: null,
    drift: [],
    startedAt: null,
    trashedAt: null,
    purgeAt: null,
  };
  await vms.insert(change.tx, row);
  await changeVmHa(change, row, body.ha);
  const volumes = [];
  for (const disk of disks) volumes.push(await insertDisk(change, row, disk, hostId));
  for (const nic of nics) await insertNic(change, row.id, nic);
  await announceLife(change, 'created', vms.kind, row);
  if (start) await requireAdmission(change, row);
  const task = await startTask(change, {
    kind: 'vm-create',
    params: {
      vmId: row.id,
      newVolumeIds: volumes.filter(({ state }) => state === 'creating').map(({ id }) => id),
      start,
    },
    target: { kind: 'vm', id: row.id, name: row.name },
    projectId: project.id,
    locks: volumes.map(({ id, name }) => ({ kind: 'volume', id, name })),
  });
  if (sleeps) {
    await announce(change, {
      kind: 'vm.waits-for-host',
      message: `VM ${row.name} ${waitsForHost}`,
      target: { kind: 'vm', id: row.id, name: row.name },
      projectId: project.id,
      taskId: task.id,
    });
  }
  return task;
};

type Sizes = Pick<VmRow, 'cpus' | 'maxCpus' | 'memoryMib' | 'maxMemoryMib'>;

function vmSizes(body: VmCreate): Sizes {
  const cpus = body.cpus ?? 1;
  const memoryMib = body.memoryMib ?? defaultMemoryMib;
  const sizes = { cpus, maxCpus: body.maxCpus ?? cpus, memoryMib, maxMemoryMib: body.maxMemoryMib ?? memoryMib };
  checkSizes(sizes);
  return sizes;
}

/** @throws invalid-request when a size is above its own maximum */
export function checkSizes(sizes: Sizes): void {
  if (sizes.cpus > sizes.maxCpus) throw invalidField('/body/maxCpus', `must be at least cpus, ${sizes.cpus}`);
  if (sizes.memoryMib > sizes.maxMemoryMib)
    throw invalidField('/body/maxMemoryMib', `must be at least memoryMib, ${sizes.memoryMib}`);
}

/** The first disk has its own fields in the request; refusals name those. */
function askedDisks(body: VmCreate): (readonly [DiskCreate, string, string?])[] {
  const further = (body.disks ?? []).map((disk, index) => {
    const pool = disk.volume === undefined ? (disk.pool ?? body.pool) : disk.pool;
    return [{ ...disk, pool }, `/body/disks/${index}`] as const;
  });
  if (body.image !== undefined) {
    const first = { image: body.image, clone: body.clone, pool: body.pool, sizeGib: body.diskSizeGib };
    return [[first, '/body', '/body/diskSizeGib'], ...further];
  }
  for (const field of ['clone', 'diskSizeGib'] as const) {
    if (body[field] !== undefined) throw invalidField(`/body/${field}`, 'needs an image');
  }
  return further;
}

function askedNics(body: VmCreate): [NicCreate, string][] {
  const further = (body.nics ?? []).map((nic, index): [NicCreate, string] => [nic, `/body/nics/${index}`]);
  const { network, addresses, securityGroups } = body;
  if (network !== undefined) return [[{ network, addresses, securityGroups }, '/body'], ...further];
  for (const field of ['addresses', 'securityGroups'] as const) {
    if (body[field] !== undefined) throw invalidField(`/body/${field}`, 'needs a network');
  }
  return further;
}

function refuseTwice(disks: readonly NewDisk[]): void {
  const ids = disks.flatMap(({ existing }) => (existing ? [existing.id] : []));
  if (new Set(ids).size < ids.length) throw invalidField('/body/disks', 'names a volume twice');
}

/** What disks mean for placement: pools to reach, hosts that volumes pin it to, hosts that lack the image in a local pool. */
export async function diskReach(
  db: Executor,
  clusterId: string,
  disks: readonly NewDisk[],
): Promise<Pick<PlacementRequest, 'poolIds' | 'volumeHostIds' | 'excludeHostIds'>> {
  const all = disks.some(({ onlyHostIds }) => onlyHostIds) ? await hosts.select(db, { clusterId }) : [];
  const lacking = disks.flatMap(({ onlyHostIds }) =>
    onlyHostIds ? all.filter(({ id }) => !onlyHostIds.includes(id)) : [],
  );
  return {
    poolIds: [...new Set(disks.map(({ pool }) => pool.id))],
    volumeHostIds: disks.flatMap(({ existing }) => (existing?.hostId ? [existing.hostId] : [])),
    excludeHostIds: lacking.map(({ id }) => id),
  };
}

/**
 * A VM that is made from an image gets a seed in any case. A guest is called as its VM unless told otherwise, where the
 * name may be a host's name.
 */
function cloudInitOf({ name, image, cloudInit }: VmCreate): CloudInit | null {
  if (cloudInit === undefined && image === undefined) return null;
  if (cloudInit?.hostname !== undefined || !/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/.test(name))
    return cloudInit ?? {};
  return { ...cloudInit, hostname: name };
}
