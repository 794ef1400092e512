/** Events as people see them: those of their projects, or all of them for an operator. */
import type { Event, eventOperations } from '@kvasir/api/resources/event.ts';
import { sql } from 'kysely';
import { type EventRow, events } from '../store/events.ts';
import { projectOf, visibleProjectIds } from './access.ts';
import type { Call, ReadService } from './call.ts';
import { targetNamed } from './target-filter.ts';
import { iso } from './views.ts';

export const listEvents: ReadService<typeof eventOperations.list> = async (call, { query }) => {
  const { project, target, kind, severity, after, ...paging } = query;
  const ids = await eventProjectIds(call, project);
  const seen = ids === undefined ? [] : [isOfOne(ids)];
  const page = await events.list(call.db, {
    sort: 'seq',
    ...paging,
    where: { targetId: await targetNamed(call.db, events, target, seen), kind, severity },
    matching: after === undefined ? seen : [...seen, sql<boolean>`seq > ${after}`],
  });
  return { ...page, items: page.items.map(eventView) };
};

function isOfOne(projectIds: readonly string[]) {
  return projectIds.length === 0 ? sql<boolean>`1 = 0` : sql<boolean>`project_id in (${sql.join(projectIds)})`;
}

/** Projects whose events the actor may see here; undefined: all events, also those of no project. */
export async function eventProjectIds(call: Call, project: string | undefined): Promise<string[] | undefined> {
  return project === undefined ? visibleProjectIds(call) : [(await projectOf(call, project)).id];
}

export function eventView(row: EventRow): Event {
  const { seq, at, kind, severity, targetKind, targetId, targetName, projectId, taskId, userId, message, details } =
    row;
  const target =
    targetKind === null || targetId === null ? null : { kind: targetKind, id: targetId, name: targetName ?? '' };
  return { seq, at: iso(at), kind, severity, target, projectId, taskId, userId, message, details: { ...details } };
}
