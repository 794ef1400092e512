/** Writes down what was decided about restarts of VMs: which wait, where they go, the tasks that start them, how they end. */
import type { HaAction } from '@kvasir/control/ha/actions.ts';
import { unableHosts } from '@kvasir/control/ha/restart.ts';
import type { HaSnapshot, VmFacts } from '@kvasir/control/ha/snapshot.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Ids } from '../ids.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Tx } from '../store/database.ts';
import { validProof } from '../store/fence-proofs.ts';
import { haRestarts } from '../store/ha-incidents.ts';
import { vmDisks, type VmRow, vms } from '../store/vms.ts';
import { volumes } from '../store/volumes.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { type PlacedVm, placeMany } from '../tasks/ha-placement.ts';
import { noRoom } from '../tasks/power-saving-world.ts';
import type { Telling } from './ha-timeline.ts';

export interface RestartSeams {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly clusterSnapshots: ClusterSnapshots;
}

export interface RestartWrite {
  readonly tx: Tx;
  readonly snapshot: HaSnapshot;
  readonly now: number;
  readonly telling: Telling;
}

type Of<K extends HaAction['kind']> = Extract<HaAction, { readonly kind: K }>;

/** A VM that no host takes is looked at again after so long. */
const retryPlaceMs = 5000;
const open = (vmId: string | readonly string[]) => ({ vmId, endedAt: null });

export async function listRestarts(
  write: RestartWrite,
  seams: RestartSeams,
  action: Of<'list-restarts'>,
): Promise<void> {
  const { tx, now, telling } = write;
  const { incidentId, hostId, because } = action;
  for (const { vmId, hadGuestAgent } of action.vms) {
    await haRestarts.insert(tx, {
      id: seams.ids.uuid(),
      vmId,
      incidentId,
      state: 'waiting',
      fromHostId: hostId,
      toHostId: null,
      taskId: null,
      attempts: 0,
      notBefore: 0,
      since: now,
      hadGuestAgent,
      reason: null,
      createdAt: now,
      endedAt: null,
    });
  }
  const names = action.vms.map(({ vmId }) => telling.vmName(vmId));
  const message = `${names.length} VM(s) are to be restarted: ${shortList(names)}`;
  telling.entry(incidentId, {
    kind: 'decided',
    message,
    because,
    details: { vmIds: action.vms.map(({ vmId }) => vmId) },
  });
}

export async function place(write: RestartWrite, seams: RestartSeams, { vmIds }: Of<'place'>): Promise<void> {
  const { tx, snapshot, now, telling } = write;
  const well = (hostId: string): boolean => {
    const host = snapshot.hosts.find(({ id }) => id === hostId);
    return host?.ha.state === 'running' && host.state === 'up' && host.proof === null;
  };
  const factsOf = (vmId: string): VmFacts | undefined => snapshot.vms.find(({ id }) => id === vmId);
  const attemptsOf = (vmId: string): number => factsOf(vmId)?.restart?.attempts ?? 0;
  const placed = await placeMany(tx, seams.clusterSnapshots, snapshot.cluster.id, vmIds, {
    excludeHostIds: snapshot.hosts.filter(({ id }) => !well(id)).map(({ id }) => id),
    lastResort: ({ id }) => unableHosts(snapshot, factsOf(id)),
    stayAt: ({ id, hostId }) => (hostId !== null && well(hostId) && attemptsOf(id) === 0 ? hostId : undefined),
    avoid: ({ id, hostId }) => (hostId !== null && attemptsOf(id) > 0 ? hostId : undefined),
  });
  for (const [hostId, some] of Map.groupBy(placed, (each) => each.hostId)) {
    const ids = some.map(({ vm }) => vm.id);
    if (hostId === null) await postpone(write, some);
    else await haRestarts.set(tx, open(ids), { state: 'placed', toHostId: hostId, since: now, reason: null });
  }
  for (const { vm, hostId, because } of placed) {
    if (hostId === null) continue;
    const message = `${vm.name} goes to ${telling.host(hostId).name}`;
    telling.entry(incidentOf(snapshot, vm.id), { kind: 'decided', message, because, vmId: vm.id, details: { hostId } });
  }
}

async function postpone({ tx, snapshot, now, telling }: RestartWrite, placed: readonly PlacedVm[]): Promise<void> {
  for (const { vm, because } of placed) {
    const reason = `${noRoom}: ${because}`;
    const row = await haRestarts.find(tx, open(vm.id));
    await haRestarts.set(tx, open(vm.id), { notBefore: now + retryPlaceMs, reason });
    if (row === undefined || row.reason?.startsWith(noRoom) === true) continue;
    const message = `VM ${vm.name} cannot be restarted: ${reason}`;
    telling.entry(incidentOf(snapshot, vm.id), { kind: 'failed', message, vmId: vm.id });
    await telling.event({ kind: 'ha.no-capacity', severity: 'error', message, ...aboutVm(vm) });
  }
}

export async function restart(
  write: RestartWrite,
  seams: RestartSeams,
  { vmId, because }: Of<'restart'>,
): Promise<void> {
  const { tx, snapshot, now, telling } = write;
  const row = await haRestarts.find(tx, open(vmId));
  const vm = await vms.find(tx, { id: vmId });
  if (row?.toHostId == null || vm?.hostId == null) return;
  try {
    const task = await startTask(tx, seams, vm, row.toHostId);
    await haRestarts.set(tx, open(vmId), { state: 'starting', taskId: task, since: now });
    const message = `${vm.name} starts on ${telling.host(row.toHostId).name}`;
    telling.entry(incidentOf(snapshot, vmId), { kind: 'decided', message, because, vmId, details: { taskId: task } });
  } catch (error) {
    // Another task got hold of the VM or a disk of it: later.
    if (!(error instanceof KvasirError)) throw error;
    await retry(write, { kind: 'retry', vmId, counts: false, notBeforeMs: now + retryPlaceMs, because: error.message });
  }
}

async function startTask(tx: Tx, seams: RestartSeams, vm: VmRow, toHostId: string): Promise<string> {
  const disks = await vmDisks.select(tx, { vmId: vm.id }, 'position');
  const rows = await volumes.select(tx, { id: disks.map(({ volumeId }) => volumeId) });
  const common = {
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    userId: null,
    locks: rows.map(({ id, name }) => ({ kind: 'volume', id, name })),
  };
  const paused = vm.desiredState === 'paused';
  if (vm.hostId === toHostId) {
    await vms.set(tx, { id: vm.id }, { reservedHostId: null });
    return (await enqueueTask(tx, seams, { kind: 'vm-start', params: { vmId: vm.id, paused }, ...common })).id;
  }
  const proofId = (await validProof(tx, vm.hostId!))?.id ?? null;
  const params = { vmId: vm.id, fromHostId: vm.hostId!, toHostId, proofId, paused };
  return (await enqueueTask(tx, seams, { kind: 'vm-restart', params, ...common })).id;
}

export async function retry({ tx, snapshot, now, telling }: RestartWrite, action: Of<'retry'>): Promise<void> {
  const { vmId, counts, notBeforeMs, because } = action;
  const row = await haRestarts.find(tx, open(vmId));
  if (row === undefined) return;
  const attempts = row.attempts + (counts ? 1 : 0);
  await unreserve(tx, vmId);
  await haRestarts.set(tx, open(vmId), {
    state: 'waiting',
    toHostId: null,
    taskId: null,
    attempts,
    notBefore: notBeforeMs,
    since: now,
    reason: because,
  });
  const message = `${telling.vmName(vmId)} is tried again${counts ? ` after try ${attempts} failed` : ''}`;
  telling.entry(incidentOf(snapshot, vmId), { kind: counts ? 'failed' : 'decided', message, because, vmId });
}

export async function booting(
  { tx, snapshot, now, telling }: RestartWrite,
  { vmId, because }: Of<'booting'>,
): Promise<void> {
  await haRestarts.set(tx, open(vmId), { state: 'booting', since: now });
  const vm = await vms.get(tx, vmId);
  const host = snapshot.hosts.find(({ id }) => id === vm.hostId)?.name ?? 'its host';
  const message = `${vm.name} runs on ${host}`;
  telling.entry(incidentOf(snapshot, vmId), { kind: 'done', message, because, vmId, details: { hostId: vm.hostId } });
  const text = `VM ${vm.name} was restarted on ${host} by high availability`;
  await telling.event({ kind: 'ha.vm-restarted', message: text, details: { hostId: vm.hostId }, ...aboutVm(vm) });
}

export async function endRestart(write: RestartWrite, { vmId, outcome, because }: Of<'end-restart'>): Promise<void> {
  const { tx, snapshot, now, telling } = write;
  const row = await haRestarts.find(tx, open(vmId));
  if (row?.state !== 'booting') await unreserve(tx, vmId);
  await haRestarts.set(tx, open(vmId), { state: outcome, endedAt: now, since: now, reason: because });
  const message = outcome === 'recovered' ? `${telling.vmName(vmId)} is back` : `${telling.vmName(vmId)} is let be`;
  telling.entry(incidentOf(snapshot, vmId), { kind: 'done', message, because, vmId });
}

export async function failRestart(
  { tx, snapshot, now, telling }: RestartWrite,
  action: Of<'fail-restart'>,
): Promise<void> {
  const { vmId, because } = action;
  await unreserve(tx, vmId);
  await haRestarts.set(tx, open(vmId), { state: 'failed', taskId: null, toHostId: null, since: now, reason: because });
  const vm = await vms.get(tx, vmId);
  const message = `VM ${vm.name} could not be restarted: ${because}`;
  telling.entry(incidentOf(snapshot, vmId), { kind: 'failed', message, because, vmId });
  await telling.event({ kind: 'ha.restart-failed', severity: 'error', message, ...aboutVm(vm) });
}

/** No task works on the VM when this is called, so what is reserved was reserved by a restart. */
async function unreserve(tx: Tx, vmId: string): Promise<void> {
  await vms.set(tx, { id: vmId }, { reservedHostId: null });
}

function incidentOf({ vms }: HaSnapshot, vmId: string): string | undefined {
  return vms.find(({ id }) => id === vmId)?.restart?.incidentId;
}

function aboutVm(vm: VmRow) {
  return { target: { kind: 'vm', id: vm.id, name: vm.name }, projectId: vm.projectId };
}

function shortList(names: readonly string[]): string {
  return names.length <= 10 ? names.join(', ') : `${names.slice(0, 10).join(', ')} and ${names.length - 10} more`;
}
