/**
 * The restarts that are under way, one step further: which VMs get a host, which start, which try again later, which are over.
 *
 * Invariants: nothing is placed or started unless the VM is known not to run where it ran, by a proof about that host or by that
 * host's own word; where the VM turns out to run, nothing is started; no more at once than the policy allows; a lower priority
 * does not overtake a higher one that can go.
 */
import type { HaAction } from './actions.ts';
import { covers } from './fence-proof.ts';
import type { Verdict } from './host-state.ts';
import { inOrder, isStarting, letsFirst, waitsFor, wanted } from './restart-order.ts';
import { lostPools } from './signals.ts';
import type { HaSnapshot, HostFacts, HostHaState, RestartFacts, VmFacts } from './snapshot.ts';

const longestBackoffMs = 300_000;
/** A guest that has not answered by then will be somebody's care, but not a restart's. */
const guestWaitMs = 300_000;
/** Known not to run, by the word of a host that is heard. */
const stoppedStates: readonly string[] = ['stopped', 'crashed'];

export type Verdicts = ReadonlyMap<string, Verdict>;

interface Restarting extends VmFacts {
  readonly restart: RestartFacts;
}

export function decideRestarts(snapshot: HaSnapshot, verdicts: Verdicts, now: number): HaAction[] {
  const open = inOrder(snapshot.vms.filter(isRestarting).filter(({ clusterId }) => clusterId === snapshot.cluster.id));
  const actions: HaAction[] = [];
  const settled = new Set<string>();
  for (const vm of open) {
    const action = settle(vm, snapshot, verdicts, now);
    if (action === undefined) continue;
    actions.push(action);
    settled.add(vm.id);
  }
  const going = open.filter(({ id }) => !settled.has(id));
  const waiting = going.filter((vm) => vm.restart.state === 'waiting' && mayBePlaced(vm, snapshot, verdicts, now));
  if (waiting.length > 0) {
    const vmIds = waiting.map(({ id }) => id);
    actions.push({ kind: 'place', vmIds, because: 'they are known not to run any more' });
    return actions;
  }
  // What has just ended may be what another waits for: first things first.
  return actions.length > 0 ? actions : starts(going, snapshot, now);
}

/** Ends it or sends it back; undefined: it goes on. */
function settle(vm: Restarting, snapshot: HaSnapshot, verdicts: Verdicts, now: number): HaAction | undefined {
  const { restart, id: vmId } = vm;
  switch (restart.state) {
    case 'starting':
      return settleStarting(vm, snapshot, now);
    case 'booting':
      return settleBooting(vm, now);
    case 'waiting':
    case 'placed':
    case 'failed': {
      if (!wanted(vm))
        return { kind: 'end-restart', vmId, outcome: 'dropped', because: 'it is not wanted to run any more' };
      if (runs(vm, verdicts)) {
        return { kind: 'end-restart', vmId, outcome: 'recovered', because: 'it runs: its host says so' };
      }
      if (!snapshot.cluster.policy.enabled || !vm.ha.enabled)
        return { kind: 'end-restart', vmId, outcome: 'dropped', because: 'high availability was turned off' };
      if (restart.state === 'failed') return retryFailed(vm, snapshot, verdicts, now);
      if (restart.state !== 'placed') return undefined;
      const because = reasonToPlaceAnew(vm, snapshot, verdicts);
      return because === undefined ? undefined : { kind: 'retry', vmId, counts: false, notBeforeMs: now, because };
    }
  }
}

function settleStarting(vm: Restarting, snapshot: HaSnapshot, now: number): HaAction | undefined {
  const { restart, id: vmId } = vm;
  const task = restart.task;
  if (task?.state === 'open' || task?.state === 'parked') return undefined;
  if (task?.state === 'succeeded') return { kind: 'booting', vmId, because: 'it was started' };
  const { restartLimit, restartBackoffMs } = snapshot.cluster.policy;
  const error = task?.error ?? 'its task is gone';
  if (restart.attempts + 1 >= restartLimit) {
    return {
      kind: 'fail-restart',
      vmId,
      because: `it could not be started in ${restart.attempts + 1} tries: ${error}`,
    };
  }
  const pauseMs = Math.min(longestBackoffMs, restartBackoffMs * 2 ** restart.attempts);
  return { kind: 'retry', vmId, counts: true, notBeforeMs: now + pauseMs, because: error };
}

function settleBooting(vm: Restarting, now: number): HaAction | undefined {
  const { restart, id: vmId } = vm;
  const end = (because: string): HaAction => ({ kind: 'end-restart', vmId, outcome: 'recovered', because });
  if (vm.state !== 'running') return end(`it was started, and is ${vm.state} now`);
  if (!restart.hadGuestAgent) return end('it runs');
  if (vm.guestAgent) return end('its guest answers');
  return now - restart.sinceMs >= guestWaitMs ? end('it runs; its guest has not answered') : undefined;
}

/** With every host that became well since, there may be capacity, or a better place. */
function retryFailed({ restart, id: vmId }: Restarting, snapshot: HaSnapshot, verdicts: Verdicts, now: number) {
  const better = snapshot.hosts.find(
    ({ id, ha }) => verdicts.get(id)?.state === 'running' && ha.state === 'running' && ha.sinceMs > restart.sinceMs,
  );
  if (better === undefined) return undefined;
  const because = `${better.name} is running again`;
  return { kind: 'retry', vmId, counts: false, notBeforeMs: now, because } as const;
}

function reasonToPlaceAnew(vm: Restarting, snapshot: HaSnapshot, verdicts: Verdicts): string | undefined {
  const { toHostId } = vm.restart;
  const name = snapshot.hosts.find(({ id }) => id === toHostId)?.name ?? 'its new host';
  const to = snapshot.hosts.find(({ id }) => id === toHostId);
  const state = toHostId === null ? undefined : verdicts.get(toHostId)?.state;
  if (to === undefined || state === undefined || !mayTake(to, state, vm)) return `${name} cannot run it any more`;
  if (stoppedBecause(vm, snapshot, verdicts) === undefined) return 'nothing proves any more that it does not run';
  return undefined;
}

/** Whether the VM may start there, if need be: the host has lost nothing, or nothing that the VM cannot start without. */
function mayTake(host: HostFacts, state: HostHaState, { poolIds }: Pick<VmFacts, 'poolIds'>): boolean {
  if (state !== 'storage-lost') return state === 'running' || state === 'network-lost';
  const lost = lostPools(host);
  return lost.length > 0 && !lost.some((id) => poolIds.includes(id));
}

/** Hosts that cannot run the VM, not even if no other takes it. */
export function unableHosts({ hosts }: Pick<HaSnapshot, 'hosts'>, vm: Pick<VmFacts, 'poolIds'> | undefined): string[] {
  const able = (host: HostFacts): boolean =>
    host.state === 'up' && host.proof === null && mayTake(host, host.ha.state, vm ?? { poolIds: [] });
  return hosts.flatMap((host) => (able(host) ? [] : host.id));
}

function mayBePlaced(vm: Restarting, snapshot: HaSnapshot, verdicts: Verdicts, now: number): boolean {
  const waitMs = vm.restart.notBeforeMs - now;
  // Nobody makes it wait for so long: the clock was set back since.
  const due = waitMs <= 0 || waitMs > longestBackoffMs;
  return due && !vm.busy && stoppedBecause(vm, snapshot, verdicts) !== undefined;
}

/** How it is known that the VM does not run where it is defined; undefined: it is not known. */
export function stoppedBecause(vm: VmFacts, snapshot: HaSnapshot, verdicts: Verdicts): string | undefined {
  const host = snapshot.hosts.find(({ id }) => id === vm.hostId);
  if (host === undefined) return undefined;
  const proof = host.proof?.proof;
  if (proof !== undefined && verdicts.get(host.id)?.state === 'fenced') {
    return covers(proof, vm.poolIds) ? proof.because : undefined;
  }
  if (verdicts.get(host.id)?.heard !== true || host.state !== 'up') return undefined;
  return stoppedStates.includes(vm.state) ? `${host.name} itself says that it is ${vm.state}` : undefined;
}

function runs(vm: VmFacts, verdicts: Verdicts): boolean {
  const heard = vm.hostId !== null && verdicts.get(vm.hostId)?.heard === true;
  return heard && (vm.state === 'running' || vm.state === 'paused');
}

function starts(going: readonly Restarting[], snapshot: HaSnapshot, now: number): HaAction[] {
  const { policy } = snapshot.cluster;
  let slots = policy.maxParallelRestarts - going.filter(({ restart }) => isStarting(restart)).length;
  const blocked = (vm: VmFacts): string | undefined => waitsFor(vm, snapshot.vms, policy, now);
  const mayGo = (vm: VmFacts): boolean => vm.restart?.state === 'placed' && !vm.busy && blocked(vm) === undefined;
  const actions: HaAction[] = [];
  for (const vm of going) {
    if (slots <= 0) break;
    if (!mayGo(vm) || letsFirst(vm, going, mayGo) !== undefined) continue;
    actions.push({ kind: 'restart', vmId: vm.id, because: `it is the next by priority (${vm.ha.priority})` });
    slots -= 1;
  }
  return actions;
}

function isRestarting(vm: VmFacts): vm is Restarting {
  return vm.restart !== null;
}

/** VMs that ran on a host that is lost, and that are to run again. */
export function lostVms(host: HostFacts, verdict: Verdict, snapshot: HaSnapshot): VmFacts[] {
  const { policy } = snapshot.cluster;
  const isolated = verdict.state === 'management-isolated' && policy.isolation === 'restart';
  const lost =
    ['dead', 'fencing'].includes(verdict.state) || (verdict.state === 'fenced' && !wasShutDown(host, policy));
  const starved = verdict.state === 'storage-lost' && policy.storageLost === 'restart';
  if (!isolated && !lost && !starved) return [];
  return inOrder(
    snapshot.vms.filter(
      (vm) =>
        vm.hostId === host.id &&
        vm.restart === null &&
        vm.ha.enabled &&
        vm.shared &&
        wanted(vm) &&
        (starved ? stoppedStates.includes(vm.state) : vm.lastSeen === 'running' || vm.lastSeen === 'paused'),
    ),
  );
}

/** The cluster had it switched off because it was isolated, and its VMs are to be off. */
function wasShutDown({ incident, proof }: HostFacts, { isolation }: HaSnapshot['cluster']['policy']): boolean {
  const alarms = incident?.alarms ?? [];
  const byCluster = proof?.proof.kind === 'power-off' || proof?.proof.kind === 'lease-expired';
  return isolation === 'shutdown' && byCluster && alarms.includes('host-isolated') && !alarms.includes('host-lost');
}
