/** VMs as people see them: rows of several tables put together, a page at a time. Tenants do not see hosts. */
import type { Vm } from '@kvasir/api/resources/vm.ts';
import type { VmHa } from '@kvasir/api/resources/ha-policy.ts';
import { vmHaOf } from '../store/ha-settings.ts';
import { hosts } from '../store/hosts.ts';
import { networks, type PortRow, ports } from '../store/networks.ts';
import { taskIdsByTarget } from '../store/tasks.ts';
import { type VmDiskRow, vmDisks, type VmRow } from '../store/vms.ts';
import { type VolumeRow, volumes } from '../store/volumes.ts';
import { actorOf, isOperator } from './access.ts';
import type { Call } from './call.ts';
import { policyOf } from './port-policy.ts';
import { isoOrNull, versionedView } from './views.ts';

export async function vmView(call: Call, row: VmRow): Promise<Vm> {
  return (await vmViews(call, [row]))[0]!;
}

export async function vmViews(call: Call, rows: readonly VmRow[]): Promise<Vm[]> {
  const { db } = call;
  const ids = rows.map(({ id }) => id);
  const disks = await vmDisks.select(db, { vmId: ids }, 'position');
  const nics = await ports.select(db, { vmId: ids }, 'position');
  const volumeOf = byId(await volumes.select(db, { id: disks.map(({ volumeId }) => volumeId) }));
  const networkOf = byId(await networks.select(db, { id: unique(nics.map(({ networkId }) => networkId)) }));
  const policy = await policyOf(
    db,
    nics.map(({ id }) => id),
  );
  const disksOf = Map.groupBy(disks, ({ vmId }) => vmId);
  const nicsOf = Map.groupBy(nics, ({ vmId }) => vmId);
  const tasks = await taskIdsByTarget(db, ids);
  const ha = await vmHaOf(db, ids);
  const seesHosts = isOperator(actorOf(call));
  const hostIds = rows.flatMap(({ hostId }) => (hostId === null ? [] : [hostId]));
  const hostOf = seesHosts ? byId(await hosts.select(db, { id: unique(hostIds) })) : new Map<string, never>();
  return rows.map((row) => ({
    ...versionedView(row),
    name: row.name,
    description: row.description,
    labels: { ...row.labels },
    projectId: row.projectId,
    clusterId: row.clusterId,
    hostId: seesHosts ? row.hostId : null,
    hostName: (row.hostId === null ? undefined : hostOf.get(row.hostId)?.name) ?? null,
    state: row.state,
    stateReason: row.stateReason,
    desiredState: row.desiredState,
    taskId: tasks.get(row.id) ?? null,
    cpus: row.cpus,
    maxCpus: row.maxCpus,
    memoryMib: row.memoryMib,
    maxMemoryMib: row.maxMemoryMib,
    cpuModel: row.cpuModel,
    firmware: row.firmware,
    bootOrder: [...row.bootOrder],
    disks: (disksOf.get(row.id) ?? []).map((disk) => diskView(disk, volumeOf.get(disk.volumeId))),
    nics: (nicsOf.get(row.id) ?? []).map((port) => ({
      ...nicView(port, networkOf.get(port.networkId)?.name ?? ''),
      ...policy(port.id),
    })),
    affinity: [...row.affinity],
    antiAffinity: [...row.antiAffinity],
    ha: haView(ha.get(row.id)!),
    guest: row.guest && { ...row.guest },
    drift: [...row.drift],
    startedAt: isoOrNull(row.startedAt),
    trashedAt: isoOrNull(row.trashedAt),
    purgeAt: isoOrNull(row.purgeAt),
  }));
}

function haView(settings: VmHa): VmHa {
  return { ...settings, dependsOn: [...settings.dependsOn] };
}

function diskView(disk: VmDiskRow, volume: VolumeRow | undefined) {
  const { volumeId, device, bus, readOnly } = disk;
  return { volumeId, volumeName: volume?.name ?? '', device, bus, sizeGib: (volume?.sizeMib ?? 0) / 1024, readOnly };
}

function nicView({ id, networkId, macAddress, model, connected, vnicType }: PortRow, networkName: string) {
  return { id, networkId, networkName, macAddress, model, connected, vnicType };
}

function byId<Row extends { readonly id: string }>(rows: readonly Row[]): ReadonlyMap<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}

function unique(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}
