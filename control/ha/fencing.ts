/**
 * How a host that is lost is proven dead: the methods of the cluster in their order, one device at a time; a lease that ran out
 * is taken whenever it is there. When nothing is left to try, an operator is called.
 */
import type { HaAction } from './actions.ts';
import { reasonAgainstDevice } from './device-trust.ts';
import { type FenceProof, leaseExpiredProof, rebootedProof } from './fence-proof.ts';
import { type ManagerDoubt, newBoot, seconds, type Verdict } from './host-state.ts';
import { leaseObservations, silenceOf } from './signals.ts';
import type { HaSnapshot, HostFacts } from './snapshot.ts';

/** A device that failed is asked again after so long. */
const retryDeviceMs = 30_000;
/**
 * A host may have been told to start something up to a heartbeat after it was heard last, and what others then report of its
 * slots was read up to so long before: only later reports are about all that it did.
 */
const settledMs = 2500;

/** Whether this host shall be proven dead now, and why. */
function reasonToFence(host: HostFacts, verdict: Verdict, snapshot: HaSnapshot, now: number): string | undefined {
  const { policy } = snapshot.cluster;
  if (verdict.state === 'dead' || verdict.state === 'fencing') return verdict.because;
  if (verdict.state !== 'management-isolated' || policy.isolation === 'leave') return undefined;
  const sinceMs = host.ha.state === 'management-isolated' ? now - host.ha.sinceMs : 0;
  const isolatedMs = Math.min(sinceMs, silenceOf(host, snapshot, now));
  if (isolatedMs < policy.isolationAfterMs) return undefined;
  return `it has been isolated for ${seconds(isolatedMs)}, and the cluster's reaction to that is ${policy.isolation}`;
}

export function decideFencing(
  host: HostFacts,
  verdict: Verdict,
  snapshot: HaSnapshot,
  doubt: ManagerDoubt,
  now: number,
): HaAction[] {
  const { policy } = snapshot.cluster;
  const { incident, id: hostId } = host;
  if (!policy.enabled || doubt.inGrace || doubt.suspectsItself || incident === null) return [];
  if (host.proof !== null) return moreByLease(host, host.proof.proof, verdict, snapshot, now);
  const because = reasonToFence(host, verdict, snapshot, now);
  if (because === undefined) return [];
  const subject = { hostId, hostName: host.name, bootId: host.bootId };
  const boot = newBoot(host, snapshot, now);
  if (boot !== undefined && host.bootId !== null) {
    const proof = rebootedProof({ ...subject, bootId: host.bootId }, boot, now);
    return [{ kind: 'record-proof', hostId, proof, because: proof.because }];
  }
  const lease = policy.fencing.includes('lease')
    ? leaseProof(host, snapshot, now)
    : { missing: 'the cluster does not use it' };
  if ('proof' in lease) return [{ kind: 'record-proof', hostId, proof: lease.proof, because: lease.proof.because }];
  if (host.fencing !== null) return [];
  const device = nextDevice(host, policy.fencing, now);
  if (device !== undefined) {
    return [{ kind: 'power-off', hostId, incidentId: incident.id, deviceId: device.id, because }];
  }
  if (leaseWillProve(host, snapshot, now) || incident.alarms.includes('operator-needed')) return [];
  const used = host.fenceDevices.filter(({ kind }) => policy.fencing.includes(kind));
  const none = host.fenceDevices.length === 0 ? 'it has no device' : 'the cluster uses no device of it';
  const tried = [
    ...host.failedFencings.map(({ reason }) => reason),
    ...used.flatMap((each) => reasonAgainstDevice(each) ?? []),
  ];
  const left = `nothing proves that ${host.name} is off (power: ${tried.at(-1) ?? none}; lease: ${lease.missing})`;
  return [
    {
      kind: 'alarm',
      code: 'operator-needed',
      hostId,
      incidentId: incident.id,
      because: `${left}: confirm that it is off, and its VMs will be started elsewhere`,
    },
  ];
}

/** Leases run out one by one: a proof by some of them is followed by one that says more. */
function moreByLease(
  host: HostFacts,
  proof: FenceProof,
  verdict: Verdict,
  snapshot: HaSnapshot,
  now: number,
): HaAction[] {
  if (proof.poolIds === null || verdict.state !== 'fenced') return [];
  if (!snapshot.cluster.policy.fencing.includes('lease')) return [];
  const lease = leaseProof(host, snapshot, now);
  if (!('proof' in lease)) return [];
  const poolIds = lease.proof.poolIds ?? [];
  const saysMore = poolIds.length > proof.poolIds.length && proof.poolIds.every((id) => poolIds.includes(id));
  if (!saysMore) return [];
  return [{ kind: 'record-proof', hostId: host.id, proof: lease.proof, because: lease.proof.because }];
}

function leaseProof(host: HostFacts, snapshot: HaSnapshot, now: number) {
  if (host.leasePlan === null) return { missing: 'it keeps no lease' };
  const observations = leaseObservations(host, snapshot, now, (host.lastHeartbeatMs ?? 0) + settledMs);
  const subject = { hostId: host.id, hostName: host.name, bootId: host.bootId };
  return leaseExpiredProof(subject, observations, host.leasePlan, now);
}

/** A guarded lease that others watch is on its way to prove it. */
function leaseWillProve(host: HostFacts, snapshot: HaSnapshot, now: number): boolean {
  if (!snapshot.cluster.policy.fencing.includes('lease') || host.leasePlan === null) return false;
  const { leaseMs } = host.leasePlan;
  return leaseObservations(host, snapshot, now).some(
    ({ guarded, unchangedMs }) => guarded && unchangedMs < 2 * leaseMs,
  );
}

/** Who may be wired to another machine is not told: that one would lose its power. */
function nextDevice(host: HostFacts, order: readonly string[], now: number) {
  const failedAt = new Map(host.failedFencings.map(({ deviceId, atMs }) => [deviceId, atMs]));
  const devices = order.flatMap((method) =>
    host.fenceDevices.filter((device) => device.kind === method && reasonAgainstDevice(device) === undefined),
  );
  const untried = devices.find(({ id }) => !failedAt.has(id));
  return untried ?? devices.find(({ id }) => Math.abs(now - (failedAt.get(id) ?? 0)) >= retryDeviceMs);
}
