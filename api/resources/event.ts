/** Events say what happened, in order of `seq`, without gaps for the reader; audit entries say who asked for what. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, IdStart, listQuery, nullable, NameOrId, oneOf, page, Timestamp } from '../schema.ts';
import { Target } from './task.ts';

export const Severity = oneOf(['info', 'warning', 'error'] as const);

export const Event = closed({
  seq: Type.Integer({ minimum: 1 }),
  at: Timestamp,
  kind: Type.String({ description: 'e.g. vm.state-changed' }),
  severity: Severity,
  target: nullable(Target),
  projectId: nullable(Id),
  taskId: nullable(Id),
  userId: nullable(Id),
  message: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
});
export type Event = Static<typeof Event>;

/** Sent in a watch as `event: gap` when what follows does not follow `after`: nothing between is kept, or numbers began anew. */
export const EventGap = closed({
  after: Type.Integer({ minimum: 0 }),
  /** Number of the oldest event that may still come. */
  next: Type.Integer({ minimum: 1 }),
});
export type EventGap = Static<typeof EventGap>;

export const AuditEntry = closed({
  id: Id,
  at: Timestamp,
  userId: nullable(Id),
  userName: nullable(Type.String()),
  operation: Type.String({ description: 'e.g. vm.create' }),
  path: Type.String(),
  status: Type.Integer({ description: 'HTTP status of the answer' }),
  code: nullable(Type.String({ description: 'Error code of a refusal' })),
  projectId: nullable(Id),
  sourceAddress: Type.String(),
});
export type AuditEntry = Static<typeof AuditEntry>;

export const eventOperations = resource('event', {
  list: operation({
    method: 'GET',
    path: '/event-log',
    summary: 'List past events, the newest last',
    access: 'session',
    query: listQuery(['seq'], {
      project: Type.Optional(NameOrId),
      target: Type.Optional(IdStart),
      kind: Type.Optional(Type.String({ maxLength: 64 })),
      severity: Type.Optional(Severity),
      after: Type.Optional(Type.Integer({ minimum: 0 })),
    }),
    response: page(Event),
    cli: { columns: ['seq', 'at', 'severity', 'kind', 'target.name', 'message'] },
  }),
  watch: operation({
    method: 'GET',
    path: '/events',
    summary:
      'Watch events as they happen (server-sent events); `after` resumes without a gap, or a message `event: gap` says first which are no longer kept',
    access: 'session',
    query: closed({
      after: Type.Optional(
        Type.Integer({
          minimum: 0,
          description: 'Last seq seen; 0: all that are kept; left out: only new events. Last-Event-ID does the same',
        }),
      ),
      project: Type.Optional(NameOrId),
    }),
    response: Event,
    transport: 'sse',
    cli: { hidden: true },
  }),
});

export const auditOperations = resource('audit', {
  list: operation({
    method: 'GET',
    path: '/audit',
    summary: 'List who asked for which change, and how it was answered',
    access: 'system.viewer',
    query: listQuery(['at'], {
      user: Type.Optional(NameOrId),
      operation: Type.Optional(Type.String({ maxLength: 64 })),
    }),
    response: page(AuditEntry),
    cli: { columns: ['at', 'userName', 'operation', 'path', 'status', 'code'] },
  }),
});
