/**
 * For how long another host's slot has stood still, by our own clock. Always told too short rather than too long: from the
 * end of the first read that showed the record to the start of the last one, and from the beginning again when a read
 * showed something that cannot be told.
 */
import type { LeaseRecord, Slot } from './record.ts';

interface Seen {
  record: LeaseRecord;
  sinceMs: number;
  untilMs: number;
}

export interface Observation {
  readonly hostId: string;
  readonly record: LeaseRecord;
  readonly unchangedMs: number;
  /** Since the last read that told. */
  readonly readMsAgo: number;
}

export class Observations {
  readonly #seen = new Map<string, Seen>();

  /** One slot as a read that took from `startedMs` to `endedMs` showed it; it belongs to `hostId`. */
  take(hostId: string, slot: Slot, startedMs: number, endedMs: number): void {
    const before = this.#seen.get(hostId);
    if (slot.kind === 'record' && slot.record.hostId === hostId) {
      const { record } = slot;
      if (before !== undefined && isSame(before.record, record)) {
        // Unreadable meanwhile: `sinceMs` lies after this read's start.
        before.untilMs = Math.max(before.sinceMs, startedMs);
        return;
      }
      this.#seen.set(hostId, { record, sinceMs: endedMs, untilMs: endedMs });
      return;
    }
    if (before === undefined) return;
    before.sinceMs = endedMs;
    before.untilMs = endedMs;
  }

  /** Hosts that are not watched any more. */
  keepOnly(hostIds: ReadonlySet<string>): void {
    for (const hostId of this.#seen.keys()) if (!hostIds.has(hostId)) this.#seen.delete(hostId);
  }

  all(nowMs: number): Observation[] {
    return [...this.#seen].map(([hostId, { record, sinceMs, untilMs }]) => ({
      hostId,
      record,
      unchangedMs: Math.max(0, Math.floor(untilMs - sinceMs)),
      readMsAgo: Math.max(0, Math.ceil(nowMs - untilMs)),
    }));
  }
}

function isSame(a: LeaseRecord, b: LeaseRecord): boolean {
  return a.counter === b.counter && a.bootId === b.bootId && a.guarded === b.guarded && a.leaseMs === b.leaseMs;
}
