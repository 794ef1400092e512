/**
 * What would happen if a host died now, by the same rules that decide when one does, without anything happening: how it would be
 * proven dead, and which of its VMs would be restarted in which order. Where each goes is for placement to say.
 */
import type { FencingMethod } from '@kvasir/api/resources/ha-policy.ts';
import { reasonAgainstDevice } from './device-trust.ts';
import { doubtOf, type Verdict } from './host-state.ts';
import { lostVms } from './restart.ts';
import { inOrder, waitsFor } from './restart-order.ts';
import { leaseObservations } from './signals.ts';
import type { HaSnapshot, HostFacts, RestartFacts, VmFacts } from './snapshot.ts';

export interface RehearsedProof {
  readonly method: FencingMethod;
  readonly possible: boolean;
  readonly because: string;
}

export interface Rehearsal {
  readonly hostId: string;
  /** So many hosts would be silent that the manager would suspect itself, for good or until others are heard. */
  readonly inDoubt: boolean;
  readonly proofs: readonly RehearsedProof[];
  /** In the order in which they would start; `after`: VMs that have to run first. */
  readonly restarts: readonly { readonly vm: VmFacts; readonly after: readonly string[] }[];
  readonly left: readonly { readonly vm: VmFacts; readonly because: string }[];
}

/**
 * The snapshot must know the VMs of the host. `wokenInDoubt`: hosts in standby that are woken when the manager suspects itself.
 * @throws RangeError without such a host
 */
export function rehearse(
  snapshot: HaSnapshot,
  hostId: string,
  now: number,
  wokenInDoubt: readonly string[] = [],
): Rehearsal {
  const host = snapshot.hosts.find(({ id }) => id === hostId);
  if (host === undefined) throw new RangeError(`There is no host ${hostId}`);
  const dead: Verdict = { state: 'dead', because: 'it is assumed to be dead', heard: false };
  const lost = new Set(lostVms(host, dead, snapshot).map(({ id }) => id));
  const own = snapshot.vms.filter((vm) => vm.hostId === hostId);
  const enabled = snapshot.cluster.policy.enabled;
  const doubt = doubtAbout(host, snapshot, now, wokenInDoubt);
  const proofs = proofsOf(host, snapshot, doubt, now);
  const covered = coveredBy(proofs, host, snapshot, now);
  const restarting = enabled ? own.filter((vm) => lost.has(vm.id) && covered(vm)) : [];
  const because = (vm: VmFacts): string => (enabled && lost.has(vm.id) ? leaseless : reasonLeft(vm, enabled));
  return {
    hostId,
    inDoubt: doubt !== 'none',
    proofs,
    restarts: startOrder(restarting, snapshot, now),
    left: inOrder(own.filter((vm) => !restarting.includes(vm))).map((vm) => ({ vm, because: because(vm) })),
  };
}

const leaseless = 'only an operator could say that it does not run: no disk of it lies in a pool with a lease';

/** Where a lease alone could prove the host dead, it says nothing of VMs with no disk in its pools. */
function coveredBy(proofs: readonly RehearsedProof[], host: HostFacts, snapshot: HaSnapshot, now: number) {
  const possible = proofs.filter((proof) => proof.possible && proof.method !== 'operator');
  const byLease = possible.length > 0 && possible.every(({ method }) => method === 'lease');
  const guarded = leaseObservations(host, snapshot, now).filter((seen) => seen.guarded);
  const pools = new Set(guarded.map(({ poolId }) => poolId));
  return ({ poolIds }: VmFacts): boolean => !byLease || poolIds.some((id) => pools.has(id));
}

/** Whether the manager would suspect itself: until those of the woken that it names are heard, or for good. */
type Doubt = 'none' | { readonly until: readonly string[] } | 'for good';

function doubtAbout({ id }: HostFacts, snapshot: HaSnapshot, now: number, woken: readonly string[]): Doubt {
  const heardAt = (each: HostFacts, ids: readonly string[], lastHeartbeatMs: number | null): HostFacts =>
    ids.includes(each.id) ? { ...each, lastHeartbeatMs } : each;
  const gone = { ...snapshot, hosts: snapshot.hosts.map((each) => heardAt(each, [id], null)) };
  if (!doubtOf(gone, now).suspectsItself) return 'none';
  const awake = { ...gone, hosts: gone.hosts.map((each) => heardAt(each, woken, now)) };
  if (doubtOf(awake, now).suspectsItself) return 'for good';
  return { until: snapshot.hosts.filter((each) => woken.includes(each.id)).map(({ name }) => name) };
}

function proofsOf(host: HostFacts, snapshot: HaSnapshot, doubt: Doubt, now: number): RehearsedProof[] {
  const { policy } = snapshot.cluster;
  return policy.fencing.map((method): RehearsedProof => {
    const later =
      typeof doubt === 'string' || method === 'operator'
        ? ''
        : `, once ${doubt.until.join(', ')} is awake: before, the manager would suspect itself`;
    const as = (possible: boolean, because: string): RehearsedProof => ({
      method,
      possible,
      because: possible ? `${because}${later}` : because,
    });
    if (doubt === 'for good' && method !== 'operator') {
      return as(false, 'so many hosts would be silent that the manager would suspect itself');
    }
    switch (method) {
      case 'ipmi':
      case 'redfish': {
        const devices = host.fenceDevices.filter(({ kind }) => kind === method);
        if (devices.length === 0) return as(false, `${host.name} has no ${method} device`);
        // Only these would be asked.
        const count = devices.filter((device) => reasonAgainstDevice(device) === undefined).length;
        if (count === 0) return as(false, reasonAgainstDevice(devices[0]!) ?? '');
        return as(true, `${count} ${method} device(s) would be asked to cut its power`);
      }
      case 'lease':
        return leaseOf(host, snapshot, now, as);
      case 'operator':
        return as(true, 'an operator can confirm that it is off');
    }
  });
}

function leaseOf(
  host: HostFacts,
  snapshot: HaSnapshot,
  now: number,
  as: (possible: boolean, because: string) => RehearsedProof,
): RehearsedProof {
  if (host.leasePlan === null) return as(false, 'it keeps no lease');
  if (host.leasePlan.poolIds.length === 0) return as(false, 'the cluster has no shared pool for leases');
  const seen = leaseObservations(host, snapshot, now);
  if (seen.length === 0) return as(false, 'no other host reads its leases');
  if (!seen.some(({ guarded }) => guarded)) return as(false, 'its lease is not guarded by a watchdog');
  return as(true, `its lease would run out after ${host.leasePlan.leaseMs} ms`);
}

/** As they would be started one by one, each guest answering at once. */
function startOrder(vms: readonly VmFacts[], snapshot: HaSnapshot, now: number): Rehearsal['restarts'] {
  const waiting = new Set(inOrder(vms));
  const restart = (vm: VmFacts): VmFacts => ({ ...vm, restart: waits(vm, now) });
  const order: { vm: VmFacts; after: readonly string[] }[] = [];
  while (waiting.size > 0) {
    const all = [...snapshot.vms.filter((vm) => !vms.includes(vm)), ...[...waiting].map(restart)];
    const left = [...waiting];
    const next = left.find((vm) => waitsFor(vm, all, snapshot.cluster.policy, now) === undefined) ?? left[0]!;
    waiting.delete(next);
    const names = new Set(vms.filter((vm) => vm.projectId === next.projectId).map(({ name }) => name));
    order.push({ vm: next, after: next.ha.dependsOn.filter((name) => names.has(name)) });
  }
  return order;
}

function waits(vm: VmFacts, now: number): RestartFacts {
  return {
    id: vm.id,
    incidentId: '',
    state: 'waiting',
    fromHostId: vm.hostId ?? '',
    toHostId: null,
    attempts: 0,
    notBeforeMs: 0,
    sinceMs: now,
    hadGuestAgent: false,
    task: null,
  };
}

function reasonLeft(vm: VmFacts, enabled: boolean): string {
  if (!enabled) return 'high availability is off in its cluster';
  if (vm.desiredState !== 'running' && vm.desiredState !== 'paused') return 'it is not wanted to run';
  if (!vm.ha.enabled) return 'its high availability is off';
  if (!vm.shared) return 'a disk of it lies on the host alone';
  if (vm.restart !== null) return 'it is being restarted already';
  return `it does not run: its host says ${vm.lastSeen ?? 'nothing of it'}`;
}
