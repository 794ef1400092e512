/** Attaching and detaching disks and NICs, while the VM runs or not. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeTarget } from '../tasks/vm-delete-intent.ts';
import { hostsReaching } from '../tasks/working-host.ts';
import { ports } from '../store/networks.ts';
import { functionsNeeded } from '../store/virtual-functions.ts';
import { vmDisks, type VmRow } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { projectOf } from './access.ts';
import type { ChangeService } from './call.ts';
import { checkQuota } from './quota.ts';
import { startTask } from './tasks.ts';
import { diskUsage, insertDisk, type NewDisk, planDisk } from './vm-disks.ts';
import { directNetworks, insertNic, planNic } from './vm-nics.ts';
import { about } from './vm-power.ts';
import { findVm, requireAction } from './vms.ts';
import type { Executor } from '../store/database.ts';

const mostNics = 16;

export const attachDisk: ChangeService<typeof vmOperations.attachDisk> = async (change, { params, query, body }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'attach', vm, 'attach a disk to');
  const project = await projectOf(change, vm.projectId);
  const disk = await planDisk({ call: change, project, clusterId: vm.clusterId }, body, '/body');
  const hostId = await requireReach(change.tx, vm, disk);
  await checkQuota(change.tx, project, diskUsage([disk]));
  const volume = await insertDisk(change, vm, disk, hostId);
  return startTask(change, {
    kind: 'vm-attach-disk',
    params: { vmId: vm.id, volumeId: volume.id, newVolume: disk.existing === undefined },
    ...about(vm),
    locks: [volumeTarget(volume)],
  });
};

export const detachDisk: ChangeService<typeof vmOperations.detachDisk> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'detach', vm, 'detach a disk from');
  const attached = await vmDisks.select(change.tx, { vmId: vm.id });
  const ids = attached.map(({ volumeId }) => volumeId);
  const own = await volumes.select(change.tx, { id: ids });
  const volume = own.find(({ id, name }) => id === params.volume || name === params.volume);
  if (!volume) throw new KvasirError('not-found', { kind: 'disk', id: params.volume });
  return startTask(change, {
    kind: 'vm-detach-disk',
    params: { vmId: vm.id, volumeId: volume.id },
    ...about(vm),
    locks: [volumeTarget(volume)],
  });
};

export const attachNic: ChangeService<typeof vmOperations.attachNic> = async (change, { params, query, body }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'attach', vm, 'attach a NIC to');
  if ((await ports.count(change.tx, { vmId: vm.id })) >= mostNics) {
    throw new KvasirError('unsupported', { reason: `A VM has ${mostNics} NICs at most` });
  }
  const project = await projectOf(change, vm.projectId);
  const nic = await planNic(change, project, body, '/body');
  await checkQuota(change.tx, project, { ports: 1 });
  if (vm.hostId !== null) await requireFunctions(change.tx, vm.hostId, directNetworks([nic]));
  const port = await insertNic(change, vm.id, nic);
  return startTask(change, { kind: 'vm-attach-nic', params: { vmId: vm.id, nicId: port.id }, ...about(vm) });
};

export const detachNic: ChangeService<typeof vmOperations.detachNic> = async (change, { params, query }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'detach', vm, 'detach a NIC from');
  const port = await ports.find(change.tx, { id: params.nic, vmId: vm.id });
  if (!port) throw new KvasirError('not-found', { kind: 'NIC', id: params.nic });
  return startTask(change, { kind: 'vm-detach-nic', params: { vmId: vm.id, nicId: port.id }, ...about(vm) });
};

/** Also those that the VM has already are held. @throws unsupported */
async function requireFunctions(db: Executor, hostId: string, directNetworkIds: readonly string[]): Promise<void> {
  for (const { switchName, count, onHosts } of await functionsNeeded(db, '', directNetworkIds)) {
    const { free, total } = onHosts[hostId] ?? { free: 0, total: 0 };
    if (free >= count) continue;
    const reason = `${free} of ${total} virtual functions free on switch ${switchName} at the VM's host`;
    throw new KvasirError('unsupported', { reason });
  }
}

/** The VM's own host must reach the disk: a disk never makes a VM move. @throws unsupported */
async function requireReach(db: Executor, vm: VmRow, disk: NewDisk): Promise<string> {
  const reaching = (await hostsReaching(db, disk.pool.id)).map(({ id }) => id);
  const pinned = disk.existing?.hostId ?? null;
  const hostId = vm.hostId;
  if (hostId === null || !reaching.includes(hostId)) {
    throw new KvasirError('unsupported', { reason: `The VM's host does not reach the pool ${disk.pool.name} now` });
  }
  if ((pinned !== null && pinned !== hostId) || (disk.onlyHostIds && !disk.onlyHostIds.includes(hostId))) {
    throw new KvasirError('unsupported', { reason: 'The disk lies in a local pool of another host' });
  }
  return hostId;
}
