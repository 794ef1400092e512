/**
 * Runs the tasks while this manager leads. Finds them by reading the table (after each commit, and now and then), so nothing is
 * lost when a wake-up is. The journal refuses a manager that no longer leads, and agents refuse its epoch.
 */
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { type TaskRow, tasks, taskSteps } from '../store/tasks.ts';
import { Journal, type JournalProbe } from './journal.ts';
import { findKind } from './kinds.ts';
import type { ContextSeams } from './step-context.ts';
import { type RetryPolicy, type RunEnd, type RunSeams, TaskRun } from './task-run.ts';

export interface RunnerSeams extends ContextSeams {
  readonly log: RunSeams['log'];
  /** Tasks at once; default 64. */
  readonly concurrency?: number;
  /** Default: the pause doubles from 0.25 s to 15 s; 16 tries forward, 60 when there is no other way. */
  readonly retry?: RetryPolicy;
  readonly probe?: JournalProbe;
}

const pollMs = 1000;
/** When these are over, others must hear where ports are; the rest tells it before it plugs them in. */
const movesPorts: readonly string[] = ['vm-delete', 'vm-migrate', 'vm-restart', 'vm-detach-nic'];

export const patientRetry: RetryPolicy = {
  forward: 16,
  insistent: 60,
  delayMs: (tries) => Math.min(125 * 2 ** tries, 15_000),
};

export class TaskRunner {
  readonly #seams: RunnerSeams;
  readonly #active = new Map<string, TaskRun>();
  /** Ids of tasks of a kind that only a newer manager knows: they are left to it. */
  readonly #foreign = new Set<string>();
  #stop: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  readonly #runs = new Set<Promise<void>>();
  #wake: () => void = () => {};

  constructor(seams: RunnerSeams) {
    this.#seams = seams;
  }

  /** From now on this manager leads with `epoch`: goes on with all tasks that are not over. */
  start(epoch: number): void {
    if (this.#stop?.signal.aborted === false) throw new Error('The task runner runs already');
    const stop = new AbortController();
    this.#stop = stop;
    // A stop may still be under way.
    this.#loop = this.#loop.then(() => this.#run(epoch, stop.signal));
  }

  /** This manager no longer leads, or ends: aborts all calls and resolves when nothing is under way. Tasks stay as they are. */
  async stop(): Promise<void> {
    this.#stop?.abort(new Error('The task runner stops'));
    await this.#loop;
  }

  /** Looks for work at once. */
  nudge(): void {
    this.#wake();
  }

  async #run(epoch: number, stopped: AbortSignal): Promise<void> {
    const { store, log } = this.#seams;
    const journal = new Journal({ ...this.#seams, epoch });
    const seams: RunSeams = { ...this.#seams, journal, stopped, retry: this.#seams.retry ?? patientRetry };
    let nudged = false;
    const wake = () => {
      nudged = true;
      this.#wake();
    };
    const ended = store.onCommit(wake);
    while (!stopped.aborted) {
      nudged = false;
      let waitMs = pollMs;
      try {
        waitMs = await this.#takeUp(seams);
      } catch (error) {
        log('The task table could not be read', { error });
      }
      if (!nudged && !stopped.aborted) await this.#sleep(waitMs, stopped);
    }
    ended();
    await Promise.all(this.#runs);
  }

  /** Starts what is due and passes on cancels; answers how long there is nothing to do unless nudged. */
  async #takeUp(seams: RunSeams): Promise<number> {
    const { store, clock } = this.#seams;
    const now = clock.now();
    const concurrency = this.#seams.concurrency ?? 64;
    const due = await dueTasks(store.db, now, concurrency + this.#active.size + this.#foreign.size);
    for (const task of due) {
      if (this.#foreign.has(task.id)) continue;
      const run = this.#active.get(task.id);
      if (run !== undefined) {
        if (task.cancelRequestedAt !== null) run.cancel();
      } else if (this.#active.size < concurrency) {
        await this.#begin(seams, task.id);
      }
    }
    const next = await nextDue(store.db, now);
    return Math.min(pollMs, next === undefined ? pollMs : Math.max(next - clock.now(), 1));
  }

  async #begin(seams: RunSeams, taskId: string): Promise<void> {
    const { db } = this.#seams.store;
    const task = await tasks.get(db, taskId);
    const steps = await taskSteps.select(db, { taskId }, 'position');
    const kind = findKind(task.kind);
    if (kind === undefined) {
      this.#foreign.add(task.id);
      seams.log('A task of a kind that is not known here is left to a newer manager', {
        task: task.id,
        kind: task.kind,
      });
      return;
    }
    const run = new TaskRun(seams, kind, { task, steps });
    if (seams.stopped.aborted) return;
    if (task.cancelRequestedAt !== null) run.cancel();
    this.#active.set(task.id, run);
    const finished = this.#finish(seams, task, run).finally(() => {
      this.#runs.delete(finished);
    });
    this.#runs.add(finished);
  }

  async #finish(seams: RunSeams, task: TaskRow, run: TaskRun): Promise<void> {
    let end: RunEnd | 'broken';
    try {
      end = await run.run();
    } catch (error) {
      end = 'broken';
      seams.log('The journal of a task could not be written', { task: task.id, kind: task.kind, error });
    }
    // Left or broken: resting a while before it is tried again, should this manager still lead.
    if (end === 'left' || end === 'broken') await this.#rest(pollMs, seams.stopped);
    this.#active.delete(task.id);
    if (end === 'over' && movesPorts.includes(task.kind)) seams.hosts.switchChanged();
    this.#wake();
  }

  async #rest(ms: number, stopped: AbortSignal): Promise<void> {
    try {
      await this.#seams.clock.sleep(ms, stopped);
    } catch {
      // Stopped: there is nothing to rest for.
    }
  }

  async #sleep(ms: number, stopped: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await this.#rest(ms, AbortSignal.any([woken.signal, stopped]));
    this.#wake = () => {};
  }
}

type DueTask = Pick<TaskRow, 'id' | 'cancelRequestedAt'>;

/** Spelled out as in the index `tasks_open`, which alone makes this cheap beside all tasks that are over. */
const isOpen = sql<boolean>`state in ('queued', 'running', 'undoing')`;

/** Oldest first: those that may be worked on now, and those that shall be cancelled. */
async function dueTasks(db: Executor, now: number, limit: number): Promise<DueTask[]> {
  return await db
    .selectFrom('tasks')
    .select(['id', 'cancelRequestedAt'])
    .where(isOpen)
    .where((eb) =>
      eb.or([
        eb('notBefore', '<=', now),
        eb.and([eb('cancelRequestedAt', 'is not', null), eb('cancellable', '=', 1), eb('state', '!=', 'undoing')]),
      ]),
    )
    .orderBy('createdAt')
    .orderBy('id')
    .limit(limit)
    .execute();
}

async function nextDue(db: Executor, now: number): Promise<number | undefined> {
  const next = await db
    .selectFrom('tasks')
    .select((eb) => eb.fn.min('notBefore').as('at'))
    .where(isOpen)
    .where('notBefore', '>', now)
    .executeTakeFirst();
  return next?.at ?? undefined;
}
