/** Writes a task in the transaction of the intent, with the locks on what it will work on. A runner finds it after the commit. */
import { KvasirError } from '@kvasir/api/errors.ts';
import { Value } from 'typebox/value';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { taskLocks, type TaskRow, tasks, taskSteps } from '../store/tasks.ts';
import { kindNamed } from './kinds.ts';
import { type TaskKindName, taskParams, type TaskParams } from './params.ts';

export interface TaskTarget {
  /** vm, volume, image … */
  readonly kind: string;
  readonly id: string;
  readonly name: string;
}

export interface NewTask<K extends TaskKindName> {
  readonly kind: K;
  readonly params: TaskParams<K>;
  /** Always locked. */
  readonly target: TaskTarget;
  readonly projectId: string | null;
  /** Who asked; null: the manager itself. */
  readonly userId: string | null;
  /** What else nobody may touch meanwhile. */
  readonly locks?: readonly TaskTarget[];
}

/** @throws KvasirError `busy` with the id of the task that holds a target */
export async function enqueueTask<K extends TaskKindName>(
  tx: Tx,
  seams: { readonly clock: Clock; readonly ids: Ids },
  task: NewTask<K>,
): Promise<TaskRow> {
  if (!Value.Check(taskParams[task.kind], task.params)) throw new TypeError(`Wrong params for a task ${task.kind}`);
  const definition = kindNamed(task.kind);
  const now = seams.clock.now();
  const targets = [...new Map([task.target, ...(task.locks ?? [])].map((target) => [target.id, target])).values()];
  // All of them before anything is written: who catches `busy` and goes on must not leave half a task behind.
  for (const target of targets) await requireFree(tx, target);
  const row = await tasks.insert(tx, {
    id: seams.ids.uuid(),
    kind: task.kind,
    params: task.params,
    state: 'queued',
    targetKind: task.target.kind,
    targetId: task.target.id,
    targetName: task.target.name,
    projectId: task.projectId,
    userId: task.userId,
    percent: 0,
    step: null,
    bytesDone: null,
    bytesTotal: null,
    downtimeMs: null,
    cancellable: definition.cancellable,
    cancelRequestedAt: null,
    error: null,
    notBefore: 0,
    parkedAt: null,
    revivals: 0,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
  });
  for (const { id, kind } of targets) await taskLocks.insert(tx, { targetId: id, targetKind: kind, taskId: row.id });
  const steps = definition.steps.map(({ name }, position) => ({ taskId: row.id, position, name, ...untouched }));
  await taskSteps.insertAll(tx, steps);
  await appendEvent(tx, {
    at: now,
    kind: 'task.created',
    message: `Task ${task.kind} for ${task.target.kind} "${task.target.name}"`,
    target: task.target,
    projectId: task.projectId,
    taskId: row.id,
    userId: task.userId,
    details: { kind: task.kind },
  });
  return row;
}

const untouched = { state: 'waiting', result: null, attempts: 0, startedAt: null, finishedAt: null } as const;

async function requireFree(tx: Tx, target: TaskTarget): Promise<void> {
  const holder = await taskLocks.find(tx, { targetId: target.id });
  if (holder !== undefined)
    throw new KvasirError('busy', { kind: target.kind, name: target.name, task: holder.taskId });
}
