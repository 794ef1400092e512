/** The small steps that most changes consist of: a fresh row, a row changed under its revision, a refused name. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import { differs } from '../store/columns.ts';
import { appendEvent, type NewEvent } from '../store/events.ts';
import type { Table } from '../store/table.ts';
import { firstRevision, type Versioned } from '../store/versioned.ts';
import { isId } from './access.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import type { Call, Change, ChangeService, OpenService } from './call.ts';

/** Id, revision and times of a new row. */
export function fresh(call: Call): Versioned {
  return firstRevision(call.env.ids.uuid(), call.env.clock.now());
}

/** A name in the form of an id could never be found again. @throws invalid-request */
export function checkName(name: string | undefined): void {
  if (name !== undefined && isId(name)) throw invalidField('/body/name', 'must not have the form of an id');
}

/** Holds the row against `If-Match`. @throws stale-revision */
export function checkRevision(call: Call, kind: string, row: Versioned): void {
  if (call.ifMatch !== undefined && call.ifMatch !== row.revision) {
    throw new KvasirError('stale-revision', { kind, revision: row.revision });
  }
}

/** Whether a part of a request says anything: fields that are undefined do not. */
export function saysSomething(part: object | undefined): boolean {
  return Object.values(part ?? {}).some((value) => value !== undefined);
}

/**
 * Changes a row and says so in an event; who asks for what is there already changes nothing. `also`: what belongs to the row
 * and is kept elsewhere changes too. @throws stale-revision, name-taken
 */
export async function updateRow<Row extends Versioned & { readonly name: string; readonly projectId?: string }>(
  change: Change,
  table: Table<Row>,
  row: Row,
  changes: Partial<Row>,
  also = false,
): Promise<Row> {
  checkRevision(change, table.kind, row);
  if (!also && !differs(table.columns, row, changes)) return row;
  const updated = await table.update(change.tx, row.id, changes, {
    now: change.env.clock.now(),
    revision: row.revision,
  });
  await announce(change, {
    kind: `${change.op.resource}.updated`,
    message: `${table.kind} ${updated.name} was changed`,
    target: { kind: change.op.resource, id: row.id, name: updated.name },
    projectId: row.projectId ?? null,
  });
  return updated;
}

/** Appends an event of this change, by its user, now. */
export async function announce(change: Change, event: Omit<NewEvent, 'at' | 'userId'>): Promise<void> {
  await appendEvent(change.tx, { ...event, at: change.env.clock.now(), userId: change.actor?.userId ?? null });
}

/** Says that a thing was created or deleted. */
export async function announceLife(
  change: Change,
  what: 'created' | 'deleted',
  kind: string,
  row: { readonly id: string; readonly name: string; readonly projectId?: string },
): Promise<void> {
  await announce(change, {
    kind: `${change.op.resource}.${what}`,
    message: `${kind} ${row.name} was ${what}`,
    target: { kind: change.op.resource, id: row.id, name: row.name },
    projectId: row.projectId ?? null,
  });
}

/** A change that hosts must hear of soon: once it is committed. */
export function nudging<O extends Operation>(service: ChangeService<O>): OpenService<O> {
  return async (call, request) => {
    const answer = await call.change((change) => service(change, request));
    call.env.links.nudge();
    return answer;
  };
}

/** @throws forbidden, with the first of these fields that the request gives, unless the system's administrator asks */
export function refuseFields(call: Call, body: object, fields: readonly string[]): void {
  if (call.actor?.systemRole === 'admin') return;
  const given = fields.find((field) => field in body && (body as Record<string, unknown>)[field] !== undefined);
  if (given === undefined) return;
  throw new KvasirError('forbidden', { operation: `${call.op.id} with ${given}` }, [
    { path: `/body/${given}`, message: 'is for operators' },
  ]);
}
