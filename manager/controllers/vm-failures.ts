/**
 * VMs that fail while their hosts are well. Sees crashed VMs in the database and guests without a sign of life in what hosts
 * report, decides (`control/ha/vm-failure.ts`), and acts: a restart is handed to high availability, which starts the VM in place
 * or else elsewhere, with its counts and pauses; a guest that hangs is reset where it runs.
 *
 * Each failure is an incident of its own with a timeline. What is written is decided again in the transaction that writes it.
 */
import type { DomainReport } from '@kvasir/api/agent/vm.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { HostHaState } from '@kvasir/control/ha/snapshot.ts';
import {
  decideVmFailures,
  type FailingVm,
  failureWindowMs,
  type VmFailureAction,
} from '@kvasir/control/ha/vm-failure.ts';
import type { Ids } from '../ids.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { appendTimeline, haIncidents, haRestarts, type TimelineKind } from '../store/ha-incidents.ts';
import { haPolicyOf, vmHaOf } from '../store/ha-settings.ts';
import { hostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { currentEpoch } from '../store/leader.ts';
import { taskIdsByTarget, tasks } from '../store/tasks.ts';
import { type VmFailureRow, vmFailures } from '../store/vm-failures.ts';
import { crashedVms, type VmRow, vms } from '../store/vms.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import { type Log, Rounds } from './rounds.ts';

export interface VmFailureSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Running VMs whose guests give no sign of life, as their hosts say. */
  readonly withoutLife: () => Iterable<{ readonly hostId: string; readonly report: DomainReport }>;
  readonly epoch: () => number | undefined;
  /** Restarts were listed. */
  readonly nudge: () => void;
}

/** That its networks are away is no reason to leave a VM of it as it is. */
const wellStates: readonly HostHaState[] = ['running', 'network-lost'];

export const vmFailureRoundMs = 1000;

export function watchVmFailures(seams: VmFailureSeams, log: Log): Rounds {
  const round = () => lookAtVms(seams);
  return new Rounds({ name: 'watch of failing VMs', clock: seams.clock, everyMs: vmFailureRoundMs, log, round });
}

/** Looks once. */
export async function lookAtVms(seams: VmFailureSeams): Promise<void> {
  const { store, clock } = seams;
  const quiet = new Map([...seams.withoutLife()].map((each) => [each.report.vmId, each]));
  const candidates = await candidatesOf(store.db, [...quiet.keys()]);
  for (const [clusterId, some] of Map.groupBy(candidates, (vm) => vm.clusterId)) {
    const ids = some.map(({ id }) => id);
    const policy = await haPolicyOf(store.db, clusterId);
    const facts = await readFacts(store.db, ids, quiet, clock.now());
    if (decideVmFailures(facts, policy, clock.now()).length === 0) continue;
    const listed = await store.transaction(async (tx) => {
      const epoch = seams.epoch();
      if (epoch === undefined || (await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
      const now = clock.now();
      const current = await readFacts(tx, ids, quiet, now);
      const actions = decideVmFailures(current, await haPolicyOf(tx, clusterId), now);
      for (const action of actions) await apply(tx, seams, action, now);
      return actions.some((action) => action.kind === 'react' && action.reaction === 'restart');
    });
    if (listed) seams.nudge();
  }
}

async function candidatesOf(db: Executor, quietIds: readonly string[]): Promise<VmRow[]> {
  const open = await vmFailures.select(db, { endedAt: null });
  const ids = [...new Set([...open.map(({ vmId }) => vmId), ...quietIds])];
  const crashed = await crashedVms(db);
  const others = ids.length === 0 ? [] : await vms.select(db, { id: ids });
  return [...new Map([...crashed, ...others].map((row) => [row.id, row])).values()];
}

async function readFacts(
  db: Executor,
  ids: readonly string[],
  quiet: ReadonlyMap<string, { readonly hostId: string; readonly report: DomainReport }>,
  now: number,
): Promise<FailingVm[]> {
  const rows = await vms.select(db, { id: ids });
  const hostIds = rows.flatMap(({ hostId }) => hostId ?? []);
  const hostOf = new Map((await hosts.select(db, { id: hostIds })).map((row) => [row.id, row]));
  const haOf = new Map((await hostHa.select(db, { hostId: hostIds })).map((row) => [row.hostId, row.state]));
  const settings = await vmHaOf(db, ids);
  const locks = await taskIdsByTarget(db, ids);
  const restarting = new Set((await haRestarts.select(db, { vmId: ids, endedAt: null })).map(({ vmId }) => vmId));
  const failures = Map.groupBy(await vmFailures.select(db, { vmId: ids }, 'at'), ({ vmId }) => vmId);
  const open = new Map((await vmFailures.select(db, { vmId: ids, endedAt: null })).map((row) => [row.vmId, row]));
  const taskIds = [...open.values()].flatMap(({ taskId }) => taskId ?? []);
  const taskOf = new Map((await tasks.select(db, { id: taskIds })).map((row) => [row.id, row.state]));
  return rows.map((row): FailingVm => {
    const host = row.hostId === null ? undefined : hostOf.get(row.hostId);
    const seen = quiet.get(row.id);
    const failure = open.get(row.id);
    return {
      id: row.id,
      name: row.name,
      hostName: host?.name ?? '',
      hostWell: host?.state === 'up' && wellStates.includes(haOf.get(host.id) ?? 'running'),
      state: row.state,
      stateReason: row.stateReason,
      desiredState: row.desiredState,
      signs: seen !== undefined && seen.hostId === row.hostId ? (seen.report.signs ?? null) : null,
      ha: settings.get(row.id)!,
      busy: locks.has(row.id),
      restarting: restarting.has(row.id),
      failedAtMs: (failures.get(row.id) ?? [])
        .filter(({ at, endedAt }) => endedAt !== null && at > now - failureWindowMs)
        .map(({ at }) => at),
      open: failure === undefined ? null : openOf(failure, taskOf),
    };
  });
}

function openOf(row: VmFailureRow, taskOf: ReadonlyMap<string, string>): FailingVm['open'] {
  const state = row.taskId === null ? undefined : taskOf.get(row.taskId);
  const task = state === undefined ? null : state === 'succeeded' ? 'succeeded' : isOver(state) ? 'failed' : 'open';
  return { id: row.id, kind: row.kind, reaction: row.reaction, atMs: row.at, task };
}

function isOver(state: string): boolean {
  return state === 'failed' || state === 'cancelled';
}

async function apply(tx: Tx, seams: VmFailureSeams, action: VmFailureAction, now: number): Promise<void> {
  if (action.kind === 'react') await react(tx, seams, action, now);
  else await end(tx, action, now);
}

type React = Extract<VmFailureAction, { readonly kind: 'react' }>;
type End = Extract<VmFailureAction, { readonly kind: 'end' }>;

async function react(tx: Tx, seams: VmFailureSeams, action: React, now: number): Promise<void> {
  const { ids } = seams;
  const { vmId, failure, reaction, because } = action;
  const vm = await vms.get(tx, vmId);
  const hostName = vm.hostId === null ? '' : (await hosts.get(tx, vm.hostId)).name;
  const incidentId = ids.uuid();
  const opened = { state: 'running', because: `VM ${vm.name}: ${because}`, alarms: [], openedAt: now };
  await haIncidents.insert(tx, {
    id: incidentId,
    clusterId: vm.clusterId,
    // The host is well: nothing about the VM is an incident of it.
    hostId: null,
    hostName,
    ...opened,
    closedAt: reaction === 'alarm' ? now : null,
  });
  const taskId = reaction === 'reset' ? await startReset(tx, seams, vm) : null;
  await vmFailures.insert(tx, {
    id: ids.uuid(),
    vmId,
    hostId: vm.hostId,
    incidentId,
    kind: failure,
    reaction,
    because,
    taskId,
    at: now,
    endedAt: null,
  });
  if (reaction === 'restart' && vm.hostId !== null) {
    await haRestarts.insert(tx, {
      id: ids.uuid(),
      vmId,
      incidentId,
      state: 'waiting',
      fromHostId: vm.hostId,
      toHostId: null,
      taskId: null,
      attempts: 0,
      notBefore: action.notBeforeMs,
      since: now,
      hadGuestAgent: false,
      reason: because,
      createdAt: now,
      endedAt: null,
    });
  }
  const deed = { restart: 'is to be restarted', reset: 'is reset', alarm: 'is left to an operator' }[reaction];
  await tell(tx, incidentId, now, 'decided', `${vm.name} ${deed}`, because, vmId);
  await appendEvent(tx, {
    at: now,
    kind: reaction === 'alarm' ? 'ha.vm-left-failed' : 'ha.vm-failed',
    severity: reaction === 'alarm' ? 'error' : 'warning',
    message: `VM ${vm.name} ${deed}: ${because}`,
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
    taskId,
    details: { failure, reaction, incidentId, hostId: vm.hostId },
  });
}

async function startReset(tx: Tx, seams: VmFailureSeams, vm: VmRow): Promise<string> {
  const target = { kind: 'vm', id: vm.id, name: vm.name };
  const common = { target, projectId: vm.projectId, userId: null };
  return (await enqueueTask(tx, seams, { kind: 'vm-reset', params: { vmId: vm.id }, ...common })).id;
}

async function end(tx: Tx, { vmId, failureId, works, because }: End, now: number): Promise<void> {
  const row = await vmFailures.get(tx, failureId);
  await vmFailures.set(tx, { id: failureId }, { endedAt: now });
  await haIncidents.set(tx, { id: row.incidentId, closedAt: null }, { closedAt: now });
  const vm = await vms.get(tx, vmId);
  await tell(tx, row.incidentId, now, works ? 'done' : 'failed', 'It is over', because, vmId);
  if (works) return;
  await appendEvent(tx, {
    at: now,
    kind: 'ha.vm-failed-again',
    severity: 'warning',
    message: `VM ${vm.name}: ${because}`,
    target: { kind: 'vm', id: vm.id, name: vm.name },
    projectId: vm.projectId,
  });
}

async function tell(
  tx: Tx,
  incidentId: string,
  at: number,
  kind: TimelineKind,
  message: string,
  because: string,
  vmId: string,
): Promise<void> {
  await appendTimeline(tx, incidentId, [{ at, kind, message, because, vmId }]);
}
