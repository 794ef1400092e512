/** Live migration: everything that would make it fail is looked for before it starts, and named. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { describeRefusals } from '@kvasir/control/placement/place-vm.ts';
import { hosts } from '../store/hosts.ts';
import { type VmRow, vms } from '../store/vms.ts';
import type { VolumeRow } from '../store/volumes.ts';
import { disksOf, volumeTarget } from '../tasks/vm-delete-intent.ts';
import type { Change, ChangeService } from './call.ts';
import { findHost } from './hosts.ts';
import { decide } from './placement.ts';
import { startTask } from './tasks.ts';
import { about, placementOf } from './vm-power.ts';
import { findVm, requireAction } from './vms.ts';

export const migrateVm: ChangeService<typeof vmOperations.migrate> = async (change, { params, query, body }) => {
  const vm = await findVm(change, params.vm, query.project);
  await requireAction(change, 'migrate', vm, 'migrate');
  const asked = body.host === undefined ? undefined : await findHost(change, body.host);
  const sourceHostId = await source(change, vm, asked?.id);
  const copied = await localVolumes(change, vm, body.copyStorage);
  const destinationHostId = await chooseDestination(change, vm, sourceHostId, asked?.id);
  await vms.update(change.tx, vm.id, { reservedHostId: destinationHostId }, { now: change.env.clock.now() });
  return startTask(change, {
    kind: 'vm-migrate',
    params: {
      vmId: vm.id,
      sourceHostId,
      destinationHostId,
      copyVolumeIds: copied.map(({ id }) => id),
      autoConverge: body.autoConverge ?? true,
      maxDowntimeMs: body.maxDowntimeMs ?? null,
      bandwidthMibps: body.bandwidthMibps ?? null,
    },
    ...about(vm),
    locks: (await disksOf(change.tx, vm.id)).map(volumeTarget),
  });
};

async function source(change: Change, vm: VmRow, askedHostId: string | undefined): Promise<string> {
  if (vm.hostId === null) throw impossible('it is on no host');
  if (vm.hostId === askedHostId) throw impossible('it is on that host already');
  const host = await hosts.get(change.tx, vm.hostId);
  if (host.state !== 'up') throw impossible(`its host ${host.name} is ${host.state}`);
  return host.id;
}

/** Volumes in local pools, which have to be copied. @throws migration-impossible */
async function localVolumes(change: Change, vm: VmRow, copyStorage: boolean | undefined): Promise<VolumeRow[]> {
  const rows = (await disksOf(change.tx, vm.id)).filter(({ hostId }) => hostId !== null);
  const [first] = rows;
  if (first && copyStorage === false)
    throw impossible(`the volume ${first.name} is in a local pool and copyStorage is false`);
  return rows;
}

/** @throws migration-impossible with the reasons against the host asked for, or against every host */
async function chooseDestination(
  change: Change,
  vm: VmRow,
  sourceHostId: string,
  askedHostId: string | undefined,
): Promise<string> {
  // Local volumes are copied, so they pin the VM nowhere; their pool must still be reached at the other end.
  const request = {
    ...(await placementOf(change.tx, vm, vm)),
    volumeHostIds: [],
    hostId: askedHostId,
    excludeHostIds: [sourceHostId],
  };
  const decision = await decide(change, vm.clusterId, request);
  if (decision.ok) return decision.hostId;
  const reasons = decision.refusals.filter(
    ({ hostId }) => hostId !== sourceHostId && (askedHostId ?? hostId) === hostId,
  );
  throw impossible(reasons.length > 0 ? describeRefusals(reasons) : 'there is no other host in its cluster');
}

function impossible(reason: string): KvasirError {
  return new KvasirError('migration-impossible', { reason });
}
