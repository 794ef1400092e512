/**
 * How long the manager keeps what only grows: events, the audit, tasks that are over. Pure: from the limits and from what
 * is oldest follows what may go.
 */
export interface Retention {
  readonly eventDays: number;
  /** Whatever their age, at most so many of the newest. */
  readonly eventRows: number;
  readonly auditDays: number;
  /** After their end; with their steps. */
  readonly taskDays: number;
}

export const defaultRetention: Retention = { eventDays: 30, eventRows: 1_000_000, auditDays: 400, taskDays: 90 };

export interface Cutoffs {
  /** Times in ms: what is older goes. */
  readonly eventsBefore: number;
  /** Number of an event: that one and all before it go. */
  readonly eventsUpTo: number;
  readonly auditBefore: number;
  readonly tasksBefore: number;
}

const dayMs = 86_400_000;

/** The limits as somebody wrote them down; what is missing or makes no sense is the default. */
export function retentionOf(written: unknown): Retention {
  const given: Readonly<Record<string, unknown>> = isRecord(written) ? written : {};
  const limit = (name: keyof Retention): number => {
    const value = given[name];
    return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : defaultRetention[name];
  };
  return {
    eventDays: limit('eventDays'),
    eventRows: limit('eventRows'),
    auditDays: limit('auditDays'),
    taskDays: limit('taskDays'),
  };
}

/** `lastEventSeq`: number of the newest event; they are numbered without gaps. */
export function cutoffsOf(retention: Retention, { now, lastEventSeq }: { now: number; lastEventSeq: number }): Cutoffs {
  return {
    eventsBefore: now - retention.eventDays * dayMs,
    eventsUpTo: Math.max(0, lastEventSeq - retention.eventRows),
    auditBefore: now - retention.auditDays * dayMs,
    tasksBefore: now - retention.taskDays * dayMs,
  };
}

/**
 * Number up to which events go, out of the oldest ones in order; undefined: all of these stay. Only the oldest in a row go,
 * so those that remain have no gap.
 */
export function eventsToRemove(
  oldest: readonly { readonly seq: number; readonly at: number }[],
  { eventsBefore, eventsUpTo }: Cutoffs,
): number | undefined {
  let last: number | undefined;
  for (const { seq, at } of oldest) {
    if (seq > eventsUpTo && at >= eventsBefore) break;
    last = seq;
  }
  return last;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
