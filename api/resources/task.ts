/** A task is long work that somebody asked for: durable, resumed by any manager, cancellable while it says so. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, IdStart, listQuery, nullable, NameOrId, oneOf, page, Timestamp } from '../schema.ts';

export const TaskState = oneOf(
  ['queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled', 'parked'] as const,
  {
    description: 'parked: its undo failed; an operator decides',
  },
);

export const Target = closed({ kind: Type.String(), id: Id, name: Type.String() });

export const Task = closed({
  id: Id,
  kind: Type.String({ description: 'e.g. vm-create' }),
  state: TaskState,
  target: Target,
  projectId: nullable(Id),
  userId: nullable(Id),
  progress: closed({
    percent: Type.Integer({ minimum: 0, maximum: 100 }),
    step: nullable(Type.String({ description: 'Step that runs now' })),
    bytesDone: nullable(Type.Integer()),
    bytesTotal: nullable(Type.Integer()),
    downtimeMs: nullable(Type.Integer({ description: 'Migration: measured pause of the guest' })),
  }),
  steps: Type.Array(
    closed({ name: Type.String(), state: oneOf(['waiting', 'running', 'done', 'undone', 'failed'] as const) }),
  ),
  cancellable: Type.Boolean(),
  error: nullable(closed({ code: Type.String(), message: Type.String() })),
  createdAt: Timestamp,
  startedAt: nullable(Timestamp),
  finishedAt: nullable(Timestamp),
});
export type Task = Static<typeof Task>;

const params = closed({ task: Id });

export const taskOperations = resource('task', {
  list: operation({
    method: 'GET',
    path: '/tasks',
    summary: 'List tasks: of a project, or all of them for an operator',
    access: 'session',
    query: listQuery(['createdAt', 'finishedAt'], {
      project: Type.Optional(NameOrId),
      state: Type.Optional(TaskState),
      kind: Type.Optional(Type.String({ maxLength: 64 })),
      target: Type.Optional(IdStart),
    }),
    response: page(Task),
    cli: { columns: ['id', 'kind', 'state', 'target.name', 'progress.percent', 'error.message', 'createdAt'] },
  }),
  get: operation({
    method: 'GET',
    path: '/tasks/{task}',
    summary: 'Show a task',
    access: 'session',
    params,
    response: Task,
  }),
  cancel: operation({
    method: 'POST',
    path: '/tasks/{task}/cancel',
    summary: 'Ask a task to stop and undo what it did',
    access: 'session',
    params,
    response: Task,
    status: 200,
  }),
  retry: operation({
    method: 'POST',
    path: '/tasks/{task}/retry',
    summary: 'Let a parked task try its undo again',
    access: 'system.admin',
    params,
    response: Task,
    status: 200,
  }),
});
