/**
 * The state of a host, by what it has lost.
 *
 *   heard, all well ...................... running      silent for a moment ............ suspect
 *   heard, its storage is lost ........... storage-lost silent here, seen elsewhere .... management-isolated
 *   heard, an uplink is down ............. network-lost silent on every path ........... dead, then fencing
 *   heard, hypervisor does not answer ...... hypervisor-lost
 *   proven dead, not back ................ fenced       taken out by an operator ....... maintenance
 *   switched off to save power ........... standby
 *
 * Invariants: silence that nobody else can confirm makes a host suspect and no more. In the grace after the manager's start,
 * and while the manager suspects itself, no host becomes dead.
 */
import { leaseObservations, lostPools, lostUplinks, signalsOf, silenceOf } from './signals.ts';
import type { HaSnapshot, HostFacts, HostHaState } from './snapshot.ts';

export interface Verdict {
  readonly state: HostHaState;
  readonly because: string;
  /** Its agent is heard: what it says of its VMs is true now. */
  readonly heard: boolean;
}

export interface ManagerDoubt {
  readonly inGrace: boolean;
  readonly suspectsItself: boolean;
  readonly because: string;
}

const heartbeatMs = 1000;
/** A proof and a heartbeat sent just before it may cross. */
const crossingMs = 1000;
/** A host that is heard says each second which boot it is; it does not boot that fast. */
const toldWithinMs = 2500;
/** Without leases the word of peers alone has to hold for longer. */
const peersAloneFactor = 4;

export function doubtOf(snapshot: HaSnapshot, now: number): ManagerDoubt {
  const { policy } = snapshot.cluster;
  const counted = snapshot.hosts.filter(
    // Who was taken out may be silent, but as long as it is heard the manager is not cut off from it.
    (host) => host.state !== 'joining' && host.proof === null && (!isOut(host) || isHeard(host, snapshot, now)),
  );
  const lost = counted.filter((host) => silenceOf(host, snapshot, now) >= policy.suspectAfterMs);
  const most = lost.length >= 2 && lost.length >= policy.selfSuspicionShare * counted.length;
  const suspectsItself = most || (lost.length > 0 && lost.length === counted.length);
  return {
    inGrace: now < snapshot.manager.leadingSinceMs + policy.graceMs,
    suspectsItself,
    because: suspectsItself
      ? `${lost.length} of ${counted.length} hosts are silent at once (${lost.map(({ name }) => name).join(', ')}): the manager may be the one that is cut off`
      : `${counted.length - lost.length} of ${counted.length} hosts are heard`,
  };
}

export function judgeHost(host: HostFacts, snapshot: HaSnapshot, doubt: ManagerDoubt, now: number): Verdict {
  const { policy } = snapshot.cluster;
  const heard = isHeard(host, snapshot, now);
  const as = (state: HostHaState, because: string): Verdict => ({ state, because, heard });
  // Until whoever took it out takes it back: its silence means nothing, and it has no VMs.
  if (isOut(host)) return as(host.ha.state, host.ha.because ?? 'it was taken out');
  if (host.proof !== null && !contradicts(host)) return { ...as('fenced', host.proof.proof.because), heard: false };
  if (heard) return judgeHeard(host, snapshot, doubt, as);
  // Only now: what others see of a host is dear to look up, and seldom asked.
  const { silentMs, lease, peers } = signalsOf(host, snapshot, now);
  const silence = `its agent has been silent for ${seconds(silentMs)}`;
  if (silentMs < policy.suspectAfterMs) return as(host.ha.state, host.ha.because ?? 'it was not heard yet');
  if (doubt.inGrace) return as(host.ha.state, `${silence}, but the manager has only just begun to listen`);
  const others = `${silence}, ${leaseWords[lease]}, ${peerWords[peers]}`;
  const seen = lease === 'alive' || peers === 'alive';
  // A lease is seen late: what looks isolated now may be dead in a moment.
  if (seen) return as(silentMs < 2 * policy.fenceAfterMs ? 'suspect' : 'management-isolated', others);
  if (doubt.suspectsItself) return as(stay(host), `${others}; ${doubt.because}`);
  if (isBeingShutDown(host, policy)) return as(host.ha.state, `it is being switched off; ${others}`);
  if (silentMs < policy.fenceAfterMs) return as('suspect', silence);
  const certain = lease === 'silent' || (peers === 'silent' && silentMs >= peersAloneFactor * policy.fenceAfterMs);
  if (!certain) return as(stay(host), others);
  return as(host.fencing === null ? 'dead' : 'fencing', others);
}

function isHeard({ lastHeartbeatMs }: HostFacts, { cluster }: HaSnapshot, now: number): boolean {
  return lastHeartbeatMs !== null && now - lastHeartbeatMs < cluster.policy.suspectAfterMs;
}

/** Taken out of service on purpose, and empty. */
function isOut({ ha }: HostFacts): boolean {
  return ha.state === 'maintenance' || ha.state === 'standby';
}

/** Its silence is the cluster's own doing: it was isolated, and its VMs are to be off. */
function isBeingShutDown({ ha, fencing }: HostFacts, { isolation }: HaSnapshot['cluster']['policy']): boolean {
  return ha.state === 'management-isolated' && fencing !== null && isolation === 'shutdown';
}

/** Who was found worse than suspect is not better because nobody can tell any more. */
function stay({ ha, fencing }: HostFacts): HostHaState {
  if (ha.state === 'dead' || ha.state === 'fencing') return fencing === null ? 'dead' : 'fencing';
  return ha.state === 'management-isolated' ? ha.state : 'suspect';
}

/** What it told the last manager of: until it has told this one, that goes on. */
const toldStates: readonly HostHaState[] = ['storage-lost', 'hypervisor-lost', 'network-lost'];

function judgeHeard(
  host: HostFacts,
  { cluster }: HaSnapshot,
  { inGrace }: ManagerDoubt,
  as: (state: HostHaState, because: string) => Verdict,
): Verdict {
  if (inGrace && host.liveness === null && toldStates.includes(host.ha.state))
    return as(host.ha.state, host.ha.because ?? 'it said so before');
  const [pool] = lostPools(host);
  if (pool !== undefined) {
    const error = host.liveness?.report.own.find((lease) => lease.poolId === pool)?.error;
    return as(
      'storage-lost',
      `it cannot renew its lease in the pool ${cluster.poolNames[pool] ?? pool}${error ? `: ${error}` : ''}`,
    );
  }
  const silentMs = host.liveness?.report.hypervisorSilentMs;
  if (silentMs !== undefined) {
    const words = 'what runs there is left as it is, and nothing can be done to it';
    return as('hypervisor-lost', `its hypervisor does not answer: ${words}`);
  }
  const uplinks = lostUplinks(host);
  if (uplinks.length > 0) return as('network-lost', `the uplink ${uplinks.join(', ')} is down`);
  return as('running', 'its heartbeats arrive');
}

/** It was heard after it had been proven dead. */
export function contradicts(host: HostFacts): boolean {
  return host.proof !== null && (host.lastHeartbeatMs ?? 0) > host.proof.proof.atMs + crossingMs;
}

/**
 * The host has been booted anew, as its lease tells although its agent is not heard: the new boot's id. Only when it spoke of the
 * old boot until it fell silent: one that was heard again since may have been told to start VMs in the new one. And only as it was
 * read after that: before, it may be the slot of the boot before this one.
 */
export function newBoot(host: HostFacts, snapshot: HaSnapshot, now: number): string | undefined {
  const { liveness, lastHeartbeatMs } = host;
  if (host.bootId === null || liveness?.report.bootId !== host.bootId) return undefined;
  // Not known when, since the clock was set back.
  if (lastHeartbeatMs === null) return undefined;
  if (lastHeartbeatMs - liveness.atMs > toldWithinMs) return undefined;
  const seen = leaseObservations(host, snapshot, now);
  const fresh = seen.find(
    ({ bootId, unchangedMs, readAtMs }) =>
      bootId !== host.bootId &&
      unchangedMs < 2 * heartbeatMs &&
      readAtMs !== null &&
      readAtMs > lastHeartbeatMs + crossingMs,
  );
  return fresh?.bootId;
}

const leaseWords = {
  alive: 'its lease is renewed',
  silent: 'its lease is not renewed',
  unknown: 'no lease tells more',
};
const peerWords = {
  alive: 'other hosts hear it',
  silent: 'other hosts do not hear it',
  unknown: 'no other host can tell',
};

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
