/**
 * Proof that the VMs of a host do not run there any more: the only thing on which one of them may be started elsewhere while its
 * host is away.
 *
 * Invariants: nothing but the builders in this file makes a proof, and none of them takes silence for one. A proof is about one
 * host and the boot that was known of it (`bootId`); it ends when that host comes back. A proof by lease covers only VMs with a
 * disk in one of its pools, for only those did the host promise to end.
 */
import type { PowerOffEvidence } from './power-evidence.ts';

/** What a power device says: state as it was read back, never as it was asked for. */
export interface PowerReading {
  readonly state: 'on' | 'off';
  readonly deviceId: string;
  readonly kind: 'ipmi' | 'redfish';
  readonly confirmedAtMs: number;
}

/** What became of an order to cut the power: confirmed by the device, with how the power was before the order. */
export interface PowerCut extends PowerReading {
  readonly state: 'off';
  readonly before: 'on' | 'off';
  /** When the device read `before`: the order came after that. */
  readonly readBeforeAtMs: number;
}

export const proofKinds = ['power-off', 'lease-expired', 'operator', 'rebooted'] as const;
export type ProofKind = (typeof proofKinds)[number];

/** As it is stored, shown and told to a task. */
export interface FenceProofRecord {
  readonly hostId: string;
  /** The boot of the host that is proven to be over; null: none was known. */
  readonly bootId: string | null;
  readonly kind: ProofKind;
  /** Manager's time. */
  readonly atMs: number;
  /** Only VMs with a disk in one of these; null: all VMs of the host. */
  readonly poolIds: readonly string[] | null;
  /** The evidence, in words. */
  readonly because: string;
}

declare const proven: unique symbol;
export type FenceProof = FenceProofRecord & { readonly [proven]: true };

/** Why there is no proof, in words; for the timeline and `ha explain`. */
export type ProofOrReason = { readonly proof: FenceProof } | { readonly missing: string };

export interface ProvenHost {
  readonly hostId: string;
  readonly hostName: string;
  readonly bootId: string | null;
}

/** Takes what only `judgePowerOff` gives: that a device says off is not enough, it may be wired to another machine. */
export function powerOffProof({ hostId, hostName, bootId }: ProvenHost, evidence: PowerOffEvidence): FenceProof {
  const { cut, inWords } = evidence;
  const because = `the ${cut.kind} device of ${hostName} says that its power is off; ${inWords}`;
  return prove({ hostId, bootId, kind: 'power-off', atMs: cut.confirmedAtMs, poolIds: null, because });
}

/** How one host's lease in one pool looked to an observer, with what makes the observer worth believing. */
export interface LeaseObservation {
  readonly observerId: string;
  readonly observerName: string;
  readonly poolId: string;
  readonly bootId: string;
  /** What the last record of the slot says: a watchdog resets the host should its promise be broken. */
  readonly guarded: boolean;
  /** The promise of the last record. */
  readonly leaseMs: number;
  /** For how long the observer, reading all the time, has seen the same record. */
  readonly unchangedMs: number;
  /** When it was read last, on the manager's clock; null: the observer does not say. */
  readonly readAtMs: number | null;
  /** The observer's own last renewal in that pool, as it said in the same report; null: none. */
  readonly ownRenewedMsAgo: number | null;
}

export interface LeaseRule {
  /** What the hosts were told. */
  readonly leaseMs: number;
  readonly renewEveryMs: number;
}

/** Hosts measure with clocks that may run apart by so much. */
const clockDrift = 0.05;
const leastMarginMs = 500;
/** An observer that has not renewed for longer than this many renewals may be the one that lost the storage. */
const renewalsMissed = 3;

/** How long a slot has to be seen unchanged. */
export function leaseProofAfterMs(leaseMs: number): number {
  return leaseMs + Math.max(leastMarginMs, Math.ceil(leaseMs * clockDrift));
}

/** The pools whose lease is over beyond doubt make the proof; with none there is no proof, and the reason of each says why. */
export function leaseExpiredProof(
  host: ProvenHost,
  observations: readonly LeaseObservation[],
  rule: LeaseRule,
  atMs: number,
): ProofOrReason {
  if (observations.length === 0) return { missing: 'no other host reads its leases' };
  const expired: LeaseObservation[] = [];
  const reasons: string[] = [];
  for (const seen of observations) {
    const against = reasonAgainst(host, seen, observations, rule);
    if (against === undefined) expired.push(seen);
    else reasons.push(`${seen.observerName}: ${against}`);
  }
  const [first] = expired;
  if (first === undefined) return { missing: reasons.join('; ') };
  const poolIds = [...new Set(expired.map(({ poolId }) => poolId))].sort();
  const because = `${first.observerName} has seen the guarded lease of ${host.hostName} unchanged for ${first.unchangedMs} ms; it promised to end its VMs within ${first.leaseMs} ms`;
  return {
    proof: prove({ hostId: host.hostId, bootId: first.bootId, kind: 'lease-expired', atMs, poolIds, because }),
  };
}

function reasonAgainst(
  { bootId }: ProvenHost,
  seen: LeaseObservation,
  all: readonly LeaseObservation[],
  rule: LeaseRule,
): string | undefined {
  const { guarded, unchangedMs, ownRenewedMsAgo, poolId } = seen;
  if (!guarded) return 'the lease is not guarded by a watchdog, so its end proves nothing';
  if (bootId !== null && seen.bootId !== bootId) return 'the lease is of another boot of the host';
  const needMs = leaseProofAfterMs(Math.max(seen.leaseMs, rule.leaseMs));
  if (unchangedMs < needMs) return `the lease was renewed ${unchangedMs} ms ago, ${needMs} ms are needed`;
  if (ownRenewedMsAgo === null || ownRenewedMsAgo > renewalsMissed * rule.renewEveryMs) {
    return 'it does not renew its own lease well, so it may be the one that lost the storage';
  }
  // One host that sees the lease alive outweighs any number that do not.
  const alive = all.find((other) => other.poolId === poolId && other.unchangedMs < needMs);
  return alive && `${alive.observerName} has seen it renewed ${alive.unchangedMs} ms ago`;
}

export interface OperatorWord {
  readonly userId: string;
  readonly userName: string;
  /** In the operator's own words. */
  readonly statement: string;
}

export function operatorProof(host: ProvenHost, word: OperatorWord, atMs: number): FenceProof {
  const because = `${word.userName} confirmed that ${host.hostName} is off: ${word.statement}`;
  return prove({ hostId: host.hostId, bootId: host.bootId, kind: 'operator', atMs, poolIds: null, because });
}

/** @throws TypeError when it is the same boot */
export function rebootedProof(
  host: ProvenHost & { readonly bootId: string },
  newBootId: string,
  atMs: number,
): FenceProof {
  if (host.bootId === newBootId) throw new TypeError('A host that runs on has not been rebooted');
  const because = `${host.hostName} was booted anew, so nothing of its earlier boot runs`;
  return prove({ hostId: host.hostId, bootId: host.bootId, kind: 'rebooted', atMs, poolIds: null, because });
}

/** A proof that was written down, read again. Only for rows that a proof was written to. */
export function recordedProof(record: FenceProofRecord): FenceProof {
  return prove(record);
}

/** Whether the proof says of a VM with disks in these pools that it does not run. */
export function covers(proof: FenceProof, vmPoolIds: readonly string[]): boolean {
  return proof.poolIds === null || proof.poolIds.some((id) => vmPoolIds.includes(id));
}

function prove(record: FenceProofRecord): FenceProof {
  return record as FenceProof;
}
