/** Tasks, the journal of their steps, and the locks that they hold on their targets. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { Executor, Tx } from './database.ts';
import { Table } from './table.ts';

export type TaskState = Task['state'];
export type TaskStepState = Task['steps'][number]['state'];

export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number>>;
}

export interface TaskRow {
  readonly id: string;
  readonly kind: string;
  readonly params: unknown;
  readonly state: TaskState;
  readonly targetKind: string;
  readonly targetId: string;
  readonly targetName: string;
  readonly projectId: string | null;
  readonly userId: string | null;
  /** 0 to 100. */
  readonly percent: number;
  /** Name of the step that runs now. */
  readonly step: string | null;
  readonly bytesDone: number | null;
  readonly bytesTotal: number | null;
  readonly downtimeMs: number | null;
  readonly cancellable: boolean;
  readonly cancelRequestedAt: number | null;
  /** Why it failed, is being undone or was parked. */
  readonly error: TaskError | null;
  /** Not to be taken up before: back-off after a transient error. */
  readonly notBefore: number;
  /** When it was parked last. */
  readonly parkedAt: number | null;
  /** How often the manager itself has let it try again since an operator did. */
  readonly revivals: number;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** Of tasks that are not over; a parked one may go on. */
export const openTaskStates = ['queued', 'running', 'undoing', 'parked'] as const;

export const tasks = new Table<TaskRow>({
  table: 'tasks',
  kind: 'task',
  columns: {
    id: 'text',
    kind: 'text',
    params: 'json',
    state: 'text',
    targetKind: 'text',
    targetId: 'text',
    targetName: 'text',
    projectId: 'text',
    userId: 'text',
    percent: 'integer',
    step: 'text',
    bytesDone: 'integer',
    bytesTotal: 'integer',
    downtimeMs: 'integer',
    cancellable: 'flag',
    cancelRequestedAt: 'integer',
    error: 'json',
    notBefore: 'integer',
    parkedAt: 'integer',
    revivals: 'integer',
    createdAt: 'integer',
    startedAt: 'integer',
    finishedAt: 'integer',
  },
  nullableSorts: ['finishedAt', 'startedAt'],
});

export interface TaskStepRow {
  readonly taskId: string;
  readonly position: number;
  readonly name: string;
  readonly state: TaskStepState;
  /** Its journaled answer, once done. */
  readonly result: unknown;
  /** Tries that ended in a transient error since it last began. */
  readonly attempts: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** Key: task and position. Removed with the task. */
export const taskSteps = new Table<TaskStepRow>({
  table: 'taskSteps',
  kind: 'step',
  columns: {
    taskId: 'text',
    position: 'integer',
    name: 'text',
    state: 'text',
    result: 'json',
    attempts: 'integer',
    startedAt: 'integer',
    finishedAt: 'integer',
  },
  key: 'position',
});

export interface TaskLockRow {
  readonly targetId: string;
  readonly targetKind: string;
  readonly taskId: string;
}

/** One task at most works on a target. Held from the intent until the task is over. */
export const taskLocks = new Table<TaskLockRow>({
  table: 'taskLocks',
  kind: 'lock',
  columns: { targetId: 'text', targetKind: 'text', taskId: 'text' },
  key: 'targetId',
});

/** Target id -> id of the task that works on it; targets without a task are left out. The source of every `taskId` in the API. */
export async function taskIdsByTarget(
  ex: Executor,
  targetIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (targetIds.length === 0) return new Map();
  const locks = await taskLocks.select(ex, { targetId: targetIds });
  return new Map(locks.map((lock) => [lock.targetId, lock.taskId]));
}

/** The task of one target, or null. */
export async function taskIdOf(ex: Executor, targetId: string): Promise<string | null> {
  return (await taskLocks.find(ex, { targetId }))?.taskId ?? null;
}

/** When a cancel was asked for, or null. @throws KvasirError `not-found` */
export async function cancelAskedAt(ex: Executor, taskId: string): Promise<number | null> {
  const row = await ex.selectFrom('tasks').select('cancelRequestedAt').where('id', '=', taskId).executeTakeFirst();
  if (row === undefined) throw new KvasirError('not-found', { kind: tasks.kind, id: taskId });
  return row.cancelRequestedAt;
}

/** Asks for a cancel; the runner sees it. False when it is over or no longer cancellable. */
export async function requestCancel(tx: Tx, taskId: string, now: number): Promise<boolean> {
  const where = { id: taskId, state: ['queued', 'running'], cancellable: true, cancelRequestedAt: null } as const;
  return (await tasks.set(tx, where, { cancelRequestedAt: now })) === 1;
}
