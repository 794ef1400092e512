/**
 * What the signals about one host say: its own heartbeats, its leases and its answers as other hosts see them.
 *
 * Invariants: who was not looking saw no silence. Time in which the manager itself was held up or did not lead does not count as
 * silence; a host that does not report freshly, or that does not renew its own lease, is no witness of another's silence (though
 * still of its life).
 */
import type { LeaseSeen, Liveness } from '@kvasir/api/agent/liveness.ts';
import type { LeaseObservation } from './fence-proof.ts';
import type { HaSnapshot, HostFacts, LeaseFacts } from './snapshot.ts';

export type Sign = 'alive' | 'silent' | 'unknown';

export interface Signals {
  /** For how long nothing came from its agent. */
  readonly silentMs: number;
  readonly lease: Sign;
  readonly peers: Sign;
}

/** What comes each second, and is looked at each second, may look that much older than a heartbeat. */
const slackMs = 500;
/** Renewals that a witness may be late with. */
const renewalsLate = 3;

export function signalsOf(host: HostFacts, snapshot: HaSnapshot, now: number): Signals {
  return {
    silentMs: silenceOf(host, snapshot, now),
    lease: leaseSign(host, snapshot, now),
    peers: peerSign(host, snapshot, now),
  };
}

export function silenceOf(host: Pick<HostFacts, 'lastHeartbeatMs'>, { manager }: HaSnapshot, now: number): number {
  const since = Math.max(host.lastHeartbeatMs ?? 0, manager.leadingSinceMs, manager.heldUpAtMs ?? 0);
  return Math.max(0, now - since);
}

/** Hosts that are heard and have just reported. */
function witnesses(host: HostFacts, snapshot: HaSnapshot, now: number): HostFacts[] {
  const { suspectAfterMs } = snapshot.cluster.policy;
  return snapshot.hosts.filter(
    (other) =>
      other.id !== host.id &&
      other.liveness !== null &&
      // From the future: the clock was set back since, and nobody can tell how old it is.
      other.liveness.atMs <= now &&
      now - other.liveness.atMs <= suspectAfterMs + slackMs &&
      silenceOf(other, snapshot, now) <= suspectAfterMs,
  );
}

function leaseSign(host: HostFacts, snapshot: HaSnapshot, now: number): Sign {
  const aliveMs = snapshot.cluster.policy.suspectAfterMs + slackMs;
  let sign: Sign = 'unknown';
  for (const { liveness } of witnesses(host, snapshot, now)) {
    for (const seen of leasesSeen(host, liveness!.report)) {
      if (seen.unchangedMs + (now - liveness!.atMs) < aliveMs) return 'alive';
      if (renewsWell(liveness!.report.own, seen.poolId, host.leasePlan)) sign = 'silent';
    }
  }
  return sign;
}

/**
 * What a witness says of this host's leases. One whose storage hangs goes on telling what it saw last, which says nothing of now: that
 * the lease was alive then, or that it was of an earlier boot.
 */
function leasesSeen({ id, leasePlan }: HostFacts, report: Liveness): LeaseSeen[] {
  const lateMs = renewalsLate * (leasePlan?.renewEveryMs ?? 1000);
  return report.seen.filter(({ hostId, readMsAgo = 0 }) => hostId === id && readMsAgo <= lateMs);
}

function renewsWell(
  own: NonNullable<HostFacts['liveness']>['report']['own'],
  poolId: string,
  plan: LeaseFacts | null,
): boolean {
  const mine = own.find((lease) => lease.poolId === poolId);
  return (
    mine !== undefined && mine.renewedMsAgo !== null && mine.renewedMsAgo <= renewalsLate * (plan?.renewEveryMs ?? 1000)
  );
}

function peerSign(host: HostFacts, snapshot: HaSnapshot, now: number): Sign {
  const aliveMs = snapshot.cluster.policy.suspectAfterMs + slackMs;
  let sign: Sign = 'unknown';
  for (const { liveness } of witnesses(host, snapshot, now)) {
    const heard = liveness!.report.peers.find((peer) => peer.hostId === host.id)?.heardMsAgo ?? null;
    // Never heard may only mean that its agent has just begun to listen.
    if (heard === null) continue;
    if (heard + (now - liveness!.atMs) < aliveMs) return 'alive';
    sign = 'silent';
  }
  return sign;
}

/**
 * When others last saw it alive, by a lease that was renewed or an answer, and when the newest report came that would tell.
 * A report counts as it was written.
 */
export function lastSignOfLife(
  host: HostFacts,
  snapshot: HaSnapshot,
  now: number,
): { readonly signMs: number; readonly reportMs: number } {
  let signMs = Number.NEGATIVE_INFINITY;
  let reportMs = Number.NEGATIVE_INFINITY;
  for (const { liveness } of witnesses(host, snapshot, now)) {
    const { atMs, report } = liveness!;
    const ages = [
      ...leasesSeen(host, report).map(({ unchangedMs }) => unchangedMs),
      ...report.peers.filter(({ hostId }) => hostId === host.id).map(({ heardMsAgo }) => heardMsAgo),
    ];
    for (const age of ages) {
      if (age === null) continue;
      signMs = Math.max(signMs, atMs - age);
      reportMs = Math.max(reportMs, atMs);
    }
  }
  return { signMs, reportMs };
}

/**
 * How other hosts see this host's leases: for a proof. A report counts as it was written, not as it has aged since.
 * `afterMs`: only reports that came later.
 */
export function leaseObservations(
  host: HostFacts,
  snapshot: HaSnapshot,
  now: number,
  afterMs = Number.NEGATIVE_INFINITY,
): LeaseObservation[] {
  const reporters = witnesses(host, snapshot, now).filter(({ liveness }) => liveness!.atMs > afterMs);
  return reporters.flatMap(({ id, name, liveness }) => {
    const { atMs, report } = liveness!;
    return leasesSeen(host, report).map(({ poolId, bootId, guarded, leaseMs, unchangedMs, readMsAgo }) => ({
      observerId: id,
      observerName: name,
      poolId,
      bootId,
      guarded,
      leaseMs,
      unchangedMs,
      readAtMs: readMsAgo === undefined ? null : atMs - readMsAgo,
      ownRenewedMsAgo: report.own.find((lease) => lease.poolId === poolId)?.renewedMsAgo ?? null,
    }));
  });
}

/** Pools that this host itself says it has lost: not renewed for as long as it takes to end its VMs. Slow is not lost. */
export function lostPools({ liveness, leasePlan }: HostFacts): string[] {
  if (liveness === null || leasePlan === null) return [];
  const { killAfterMs, poolIds } = leasePlan;
  return liveness.report.own
    .filter(({ lost, renewedMsAgo, error }) => {
      // Just booted, it has not come to renewing it yet: that is no loss.
      if (renewedMsAgo === null) return error !== null;
      return lost || renewedMsAgo >= killAfterMs;
    })
    .map(({ poolId }) => poolId)
    .filter((poolId) => poolIds.includes(poolId));
}

export function lostUplinks({ liveness }: Pick<HostFacts, 'liveness'>): string[] {
  return (liveness?.report.uplinks ?? []).filter(({ up }) => !up).map(({ name }) => name);
}
