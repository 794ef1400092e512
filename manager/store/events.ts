/**
 * Events: what happened, numbered in the order of commits without gaps. The number comes from a counter row in the same
 * transaction, and there is one writer at a time: who has read up to `seq` n never misses one that commits later.
 */
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export interface EventRow {
  readonly seq: number;
  readonly at: number;
  /** e.g. vm.state-changed */
  readonly kind: string;
  readonly severity: 'info' | 'warning' | 'error';
  readonly targetKind: string | null;
  readonly targetId: string | null;
  readonly targetName: string | null;
  readonly projectId: string | null;
  readonly taskId: string | null;
  readonly userId: string | null;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export const events = new Table<EventRow>({
  table: 'events',
  kind: 'event',
  columns: {
    seq: 'integer',
    at: 'integer',
    kind: 'text',
    severity: 'text',
    targetKind: 'text',
    targetId: 'text',
    targetName: 'text',
    projectId: 'text',
    taskId: 'text',
    userId: 'text',
    message: 'text',
    details: 'json',
  },
  key: 'seq',
});

export interface NewEvent {
  readonly at: number;
  readonly kind: string;
  readonly message: string;
  readonly severity?: EventRow['severity'];
  readonly target?: { readonly kind: string; readonly id: string; readonly name: string } | null;
  readonly projectId?: string | null;
  readonly taskId?: string | null;
  readonly userId?: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
}

export async function appendEvent(tx: Tx, event: NewEvent): Promise<EventRow> {
  const counted = await sql<{ value: number }>`
    update counters set value = value + 1 where name = 'event-seq' returning value`.execute(tx);
  return await events.insert(tx, {
    seq: counted.rows[0]!.value,
    at: event.at,
    kind: event.kind,
    severity: event.severity ?? 'info',
    targetKind: event.target?.kind ?? null,
    targetId: event.target?.id ?? null,
    targetName: event.target?.name ?? null,
    projectId: event.projectId ?? null,
    taskId: event.taskId ?? null,
    userId: event.userId ?? null,
    message: event.message,
    details: event.details ?? {},
  });
}

/** Events after `seq`, oldest first; all of one project or of everything. */
export async function eventsAfter(
  ex: Executor,
  seq: number,
  options: { readonly limit?: number; readonly projectIds?: readonly string[] } = {},
): Promise<EventRow[]> {
  let query = ex.selectFrom('events').selectAll().where('seq', '>', seq);
  if (options.projectIds !== undefined) {
    if (options.projectIds.length === 0) return [];
    query = query.where('projectId', 'in', [...options.projectIds]);
  }
  const rows = await query
    .orderBy('seq')
    .limit(options.limit ?? 500)
    .execute();
  return rows.map((row) => events.decode(row));
}

/** Number of the newest event; 0 before the first. */
export async function lastEventSeq(ex: Executor): Promise<number> {
  const counter = await ex.selectFrom('counters').select('value').where('name', '=', 'event-seq').executeTakeFirst();
  return counter?.value ?? 0;
}
