/** Incidents with their timelines, the tries to fence, and the restarts of VMs: what was seen, decided and done. */
import { sql } from 'kysely';
import type { RestartState } from '@kvasir/control/ha/snapshot.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface HaIncidentRow {
  readonly id: string;
  readonly clusterId: string;
  /** Null when the host was removed since. */
  readonly hostId: string | null;
  readonly hostName: string;
  /** As the host was last seen in it. */
  readonly state: string;
  readonly because: string;
  /** Codes of alarms that were raised. */
  readonly alarms: readonly string[];
  readonly openedAt: number;
  readonly closedAt: number | null;
}

export const haIncidents = new Table<HaIncidentRow>({
  table: 'haIncidents',
  kind: 'incident',
  columns: {
    id: 'text',
    clusterId: 'text',
    hostId: 'text',
    hostName: 'text',
    state: 'text',
    because: 'text',
    alarms: 'json',
    openedAt: 'integer',
    closedAt: 'integer',
  },
  nullableSorts: ['closedAt'],
});

export type TimelineKind = 'seen' | 'decided' | 'done' | 'failed' | 'alarm';

export interface TimelineRow {
  readonly incidentId: string;
  readonly seq: number;
  readonly at: number;
  readonly kind: TimelineKind;
  readonly message: string;
  readonly because: string | null;
  readonly vmId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export const haTimeline = new Table<TimelineRow>({
  table: 'haTimeline',
  kind: 'entry',
  columns: {
    incidentId: 'text',
    seq: 'integer',
    at: 'integer',
    kind: 'text',
    message: 'text',
    because: 'text',
    vmId: 'text',
    details: 'json',
  },
  key: 'seq',
});

export type NewTimelineEntry = Pick<TimelineRow, 'at' | 'kind' | 'message'> &
  Partial<Pick<TimelineRow, 'because' | 'vmId' | 'details'>>;

export async function appendTimeline(tx: Tx, incidentId: string, entries: readonly NewTimelineEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const last = await tx
    .selectFrom('haTimeline')
    .select(sql<number>`coalesce(max(seq), 0)`.as('seq'))
    .where('incidentId', '=', incidentId)
    .executeTakeFirstOrThrow();
  for (const [index, entry] of entries.entries()) {
    const seq = last.seq + index + 1;
    await haTimeline.insert(tx, { because: null, vmId: null, details: {}, ...entry, incidentId, seq });
  }
}

/** What it is about is gone. */
export async function closeIncident(tx: Tx, incidentId: string, now: number, because: string): Promise<void> {
  await haIncidents.set(tx, { id: incidentId, closedAt: null }, { closedAt: now });
  await appendTimeline(tx, incidentId, [{ at: now, kind: 'done', message: 'It is over', because }]);
}

export interface FenceAttemptRow {
  readonly id: string;
  readonly incidentId: string;
  readonly deviceId: string;
  readonly startedAt: number;
  readonly finishedAt: number | null;
  /** Null while it runs, and when it succeeded. */
  readonly error: string | null;
}

export const fenceAttempts = new Table<FenceAttemptRow>({
  table: 'fenceAttempts',
  kind: 'fencing',
  columns: {
    id: 'text',
    incidentId: 'text',
    deviceId: 'text',
    startedAt: 'integer',
    finishedAt: 'integer',
    error: 'text',
  },
});

export interface HaRestartRow {
  readonly id: string;
  readonly vmId: string;
  readonly incidentId: string;
  readonly state: RestartState | 'recovered' | 'dropped';
  readonly fromHostId: string;
  readonly toHostId: string | null;
  readonly taskId: string | null;
  readonly attempts: number;
  readonly notBefore: number;
  /** Since when it is in this state. */
  readonly since: number;
  readonly hadGuestAgent: boolean;
  /** Why it waits, failed or ended. */
  readonly reason: string | null;
  readonly createdAt: number;
  /** Null while it is under way: at most one for each VM. */
  readonly endedAt: number | null;
}

export const haRestarts = new Table<HaRestartRow>({
  table: 'haRestarts',
  kind: 'restart',
  columns: {
    id: 'text',
    vmId: 'text',
    incidentId: 'text',
    state: 'text',
    fromHostId: 'text',
    toHostId: 'text',
    taskId: 'text',
    attempts: 'integer',
    notBefore: 'integer',
    since: 'integer',
    hadGuestAgent: 'flag',
    reason: 'text',
    createdAt: 'integer',
    endedAt: 'integer',
  },
});

/** The restart of a VM that is under way. */
export async function openRestart(ex: Executor, vmId: string): Promise<HaRestartRow | undefined> {
  return await haRestarts.find(ex, { vmId, endedAt: null });
}
