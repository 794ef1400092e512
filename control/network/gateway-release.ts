/**
 * Whether anybody can hear a host that its manager does not hear. A host goes on translating for routers as long as it hears the manager
 * or another host of its cluster (`api/agent/gateway-term.ts`), so only who is unheard by all of them can be counted out.
 *
 * Invariants: a host that fell silent together with it may be alive beside it, in the same cut-off part: nothing is known until that one
 * is heard or proven dead. A host without others never ends its gateways by itself, so only a proof releases it.
 */
import { gatewayTerm } from '@kvasir/api/agent/gateway-term.ts';

export interface ReleaseHost {
  readonly hostId: string;
  readonly up: boolean;
  /** A proof says that all of it ended. */
  readonly provenOff: boolean;
  readonly createdAtMs: number;
  /** When it was heard last, as far as that is known. */
  readonly lastSeenMs: number | null;
  /** Its last word of the hosts that it probes; null: it said nothing since this manager leads. */
  readonly report: {
    readonly atMs: number;
    readonly peers: readonly { readonly hostId: string; readonly heardMsAgo: number | null }[];
  } | null;
}

/** A report comes each second. */
const freshMs = 2500;
/** Whoever fell silent so much earlier did not fall with it. Seen times are kept each 10 s, plans of peers arrive within seconds. */
const apartMs = 60_000;

/** @param others of its cluster */
export function isUnheard(host: ReleaseHost, others: readonly ReleaseHost[], now: number): boolean {
  const { hostId, lastSeenMs, up, report } = host;
  if (up || lastSeenMs === null) return false;
  // It must have known of others while it was heard, or it goes on as the only one.
  const told = (report?.peers.length ?? 0) > 0;
  const knewOthers = told || others.some(({ createdAtMs }) => createdAtMs < lastSeenMs - apartMs);
  return knewOthers && others.length > 0 && others.every((other) => isNoHelp(other, hostId, lastSeenMs, now));
}

function isNoHelp({ up, provenOff, lastSeenMs, report }: ReleaseHost, hostId: string, since: number, now: number) {
  if (provenOff) return true;
  if (!up) return lastSeenMs === null || lastSeenMs < since - apartMs;
  if (report === null || now - report.atMs > freshMs) return false;
  const heard = report.peers.find((peer) => peer.hostId === hostId)?.heardMsAgo ?? null;
  return heard === null || heard + (now - report.atMs) >= gatewayTerm.heardWithinMs;
}
