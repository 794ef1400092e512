/**
 * Every write that a runner makes, each one transaction: it first makes sure that this manager still leads, so that a deposed
 * one changes nothing. The lease on a task is therefore the leader's own lease, and whoever leads next goes on with all tasks.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { currentEpoch } from '../store/leader.ts';
import { taskLocks, type TaskRow, tasks, type TaskStepRow, taskSteps } from '../store/tasks.ts';

/** Called around each write; the crash tests throw here. */
export type JournalProbe = (point: string) => void;

export interface JournalSeams {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly epoch: number;
  readonly probe?: JournalProbe;
}

/** A task with its steps in order, as the journal has them. */
export interface TaskJournal {
  readonly task: TaskRow;
  readonly steps: readonly TaskStepRow[];
}

/** A journal's transaction. */
export interface JournalWrite {
  readonly tx: Tx;
  readonly now: number;
  readonly ids: Ids;
}

export class Journal {
  readonly #seams: JournalSeams;

  constructor(seams: JournalSeams) {
    this.#seams = seams;
  }

  /** @throws KvasirError `not-leader` when another manager leads */
  async write<T>(point: string, work: (write: JournalWrite) => Promise<T>): Promise<T> {
    const { store, clock, ids, epoch, probe } = this.#seams;
    probe?.(`before ${point}`);
    const result = await store.transaction(async (tx) => {
      if ((await currentEpoch(tx)) !== epoch) throw new KvasirError('not-leader');
      return await work({ tx, now: clock.now(), ids });
    });
    probe?.(`after ${point}`);
    return result;
  }
}

export async function setTask(tx: Tx, journal: TaskJournal, changes: Partial<TaskRow>): Promise<TaskJournal> {
  await tasks.set(tx, { id: journal.task.id }, changes);
  return { task: { ...journal.task, ...changes }, steps: journal.steps };
}

export async function setStep(
  tx: Tx,
  journal: TaskJournal,
  position: number,
  changes: Partial<TaskStepRow>,
): Promise<TaskJournal> {
  await taskSteps.set(tx, { taskId: journal.task.id, position }, changes);
  const steps = journal.steps.with(position, { ...journal.steps[position]!, ...changes });
  return { task: journal.task, steps };
}

/** The task is over: its locks are free, and an event says how it ended. */
export async function endTask(
  { tx, now }: JournalWrite,
  journal: TaskJournal,
  state: 'succeeded' | 'failed' | 'cancelled',
): Promise<TaskJournal> {
  await taskLocks.remove(tx, { taskId: journal.task.id });
  const percent = state === 'succeeded' ? 100 : journal.task.percent;
  const ended = await setTask(tx, journal, { state, percent, step: null, cancellable: false, finishedAt: now });
  await taskEvent(tx, ended.task, now, 'task.finished');
  return ended;
}

export async function taskEvent(tx: Tx, task: TaskRow, now: number, kind: string): Promise<void> {
  const because = task.error === null ? '' : `: ${task.error.message}`;
  await appendEvent(tx, {
    at: now,
    kind,
    severity: task.state === 'failed' || task.state === 'parked' ? 'error' : 'info',
    message: `Task ${task.kind} for ${task.targetKind} "${task.targetName}" ${task.state}${because}`,
    target: { kind: task.targetKind, id: task.targetId, name: task.targetName },
    projectId: task.projectId,
    taskId: task.id,
    userId: task.userId,
    details: { kind: task.kind, state: task.state, code: task.error?.code ?? null },
  });
}

export async function undoTooLateEvent(tx: Tx, task: TaskRow, now: number, step: string): Promise<void> {
  const why = task.error?.code === 'cancelled' ? 'the cancel came too late' : (task.error?.message ?? '');
  await appendEvent(tx, {
    at: now,
    kind: 'task.undo-too-late',
    message: `Task ${task.kind} for ${task.targetKind} "${task.targetName}" goes on, step ${step} is done: ${why}`,
    target: { kind: task.targetKind, id: task.targetId, name: task.targetName },
    projectId: task.projectId,
    taskId: task.id,
    userId: task.userId,
    details: { kind: task.kind, step, code: task.error?.code ?? null },
  });
}
