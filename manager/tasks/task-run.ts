/**
 * Works on one task until it is over, has to wait, or must be left to another manager: steps forward, or back when it failed or
 * was cancelled. All that it decides by lies in the journal, so a run that breaks off anywhere is taken up by another.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { cancelAskedAt, type TaskError } from '../store/tasks.ts';
import {
  endTask,
  type Journal,
  type JournalWrite,
  setStep,
  setTask,
  taskEvent,
  type TaskJournal,
  undoTooLateEvent,
} from './journal.ts';
import type { AnyTaskKind, ApplyContext, StepContext, TooLate } from './kind.ts';
import { ProgressMeter } from './progress-meter.ts';
import { type ContextSeams, stepContext } from './step-context.ts';
import { isDeposed, isTransient } from './transient.ts';

export interface RetryPolicy {
  /** Tries of a step after transient errors before the task fails. */
  readonly forward: number;
  /** Tries of an undo, or of a step without way back, before the task is parked. */
  readonly insistent: number;
  /** Pause after that many tries. */
  delayMs(tries: number): number;
}

export interface RunSeams extends ContextSeams {
  readonly journal: Journal;
  readonly retry: RetryPolicy;
  readonly log: (message: string, details: Readonly<Record<string, unknown>>) => void;
  /** Aborted when this manager no longer leads or ends. */
  readonly stopped: AbortSignal;
}

/** `over`: ended or parked; `later`: to be taken up at its `notBefore`; `left`: another manager leads, or this one ends. */
export type RunEnd = 'over' | 'later' | 'left';

/** The journal itself could not be written: nothing is known but what it holds. */
class JournalFailure extends Error {}

/** An undo is not cancelled. */
const never = new AbortController().signal;
const cancelled = errorOf(new KvasirError('cancelled'));
const otherSteps = errorOf(
  new KvasirError('unsupported', { reason: 'another version of Kvasir began the task, which had other steps' }),
);

export class TaskRun {
  readonly #seams: RunSeams;
  readonly #kind: AnyTaskKind;
  readonly #cancel = new AbortController();
  readonly #progress: ProgressMeter;
  #journal: TaskJournal;

  constructor(seams: RunSeams, kind: AnyTaskKind, journal: TaskJournal) {
    this.#seams = seams;
    this.#kind = kind;
    this.#journal = journal;
    this.#progress = new ProgressMeter(seams, kind, journal.task);
  }

  /** Somebody asked for a cancel: the step that runs is told to stop. */
  cancel(): void {
    this.#cancel.abort(new KvasirError('cancelled'));
  }

  /** Throws only when the journal could not be written. */
  async run(): Promise<RunEnd> {
    try {
      if (!this.#knowsSteps()) return await this.#park(0, otherSteps);
      for (;;) {
        const end = this.#journal.task.state === 'undoing' ? 'undo' : await this.#forward();
        if (end !== 'undo') return end;
        const undone = await this.#back();
        if (undone !== 'forward') return undone;
      }
    } catch (error) {
      if (error instanceof KvasirError && isDeposed(error.code)) return 'left';
      throw error;
    } finally {
      await this.#progress.settled();
    }
  }

  /** A journal of other steps tells nothing of what is done: neither way is safe. */
  #knowsSteps(): boolean {
    const { steps } = this.#journal;
    return (
      steps.length === this.#kind.steps.length && steps.every(({ name }, at) => name === this.#kind.steps[at]!.name)
    );
  }

  async #forward(): Promise<RunEnd | 'undo'> {
    let position = this.#journal.steps.findIndex((step) => step.state !== 'done');
    this.#journal = await this.#write('begin', position, (write) => this.#enter(write, this.#journal, position));
    while (this.#journal.task.state === 'running') {
      try {
        // A cancel that came too late is not for what has no way back.
        const cancel = this.#hasWayBack(position) ? this.#cancel.signal : never;
        const result: unknown = await this.#kind.steps[position]!.run(this.#context(position, cancel, ''));
        this.#journal = await this.#succeed(position, result ?? null);
      } catch (error) {
        return await this.#failed(position, error);
      }
      position += 1;
    }
    return this.#journal.task.state === 'undoing' ? 'undo' : 'over';
  }

  /** The step begins, unless a cancel came first. */
  async #enter({ tx, now }: JournalWrite, journal: TaskJournal, position: number): Promise<TaskJournal> {
    if ((await cancelAskedAt(tx, journal.task.id)) !== null && this.#hasWayBack(position - 1)) {
      return await setTask(tx, journal, { state: 'undoing', cancellable: false, error: cancelled, notBefore: 0 });
    }
    const step = journal.steps[position]!;
    const begun = await setStep(tx, journal, position, { state: 'running', startedAt: step.startedAt ?? now });
    return await setTask(tx, begun, {
      ...this.#progress.entered(position),
      state: 'running',
      step: step.name,
      startedAt: journal.task.startedAt ?? now,
      notBefore: 0,
      ...(this.#hasWayBack(position) ? {} : { cancellable: false }),
    });
  }

  async #succeed(position: number, result: unknown): Promise<TaskJournal> {
    try {
      return await this.#write('done', position, async (write) => this.#done(write, this.#journal, position, result));
    } catch (error) {
      // Rows that refuse the answer (a name that was taken meanwhile) fail the step.
      if (error instanceof KvasirError) throw error;
      throw new JournalFailure('', { cause: error });
    }
  }

  /** The answer is journaled together with its rows and with what comes next: a step, or the end. */
  async #done(write: JournalWrite, journal: TaskJournal, position: number, result: unknown): Promise<TaskJournal> {
    const { tx, now } = write;
    await this.#kind.steps[position]!.apply?.(this.#apply(write), result);
    const done = await setStep(tx, journal, position, { state: 'done', result, finishedAt: now });
    return await this.#goOn(write, done, position);
  }

  async #goOn(write: JournalWrite, journal: TaskJournal, position: number): Promise<TaskJournal> {
    if (position + 1 < this.#kind.steps.length) return await this.#enter(write, journal, position + 1);
    await this.#kind.done?.(this.#apply(write));
    return await endTask(write, await setTask(write.tx, journal, this.#progress.taken()), 'succeeded');
  }

  /** What was to be undone is done for good: the task is as if nobody had asked it to stop, and as if nothing had failed. */
  async #stands(position: number, result: unknown): Promise<RunEnd | 'forward'> {
    this.#journal = await this.#write('stands', position, async (write) => {
      const { name, state } = this.#journal.steps[position]!;
      await undoTooLateEvent(write.tx, this.#journal.task, write.now, name);
      const journal = await setTask(write.tx, this.#journal, { error: null, cancelRequestedAt: null });
      if (state === 'done') return await this.#goOn(write, journal, position);
      return await this.#done(write, journal, position, result ?? null);
    });
    return this.#journal.task.state === 'succeeded' ? 'over' : 'forward';
  }

  async #failed(position: number, thrown: unknown): Promise<RunEnd | 'undo'> {
    if (thrown instanceof JournalFailure) throw thrown.cause;
    if (this.#seams.stopped.aborted) return 'left';
    const error = this.#errorOf(position, thrown);
    if (isDeposed(error.code)) return 'left';
    const wayBack = this.#hasWayBack(position);
    if (!wayBack || !this.#cancel.signal.aborted) {
      const tries = wayBack ? this.#seams.retry.forward : this.#seams.retry.insistent;
      if (isTransient(error.code) && this.#attempts(position) < tries) return await this.#tryLater(position);
    }
    if (!wayBack) return await this.#park(position, error);
    this.#journal = await this.#write('failed', position, async ({ tx }) => {
      const failed = await setStep(tx, this.#journal, position, { state: 'failed', attempts: 0 });
      const because = this.#cancel.signal.aborted ? cancelled : error;
      return await setTask(tx, failed, { state: 'undoing', cancellable: false, error: because, notBefore: 0 });
    });
    return 'undo';
  }

  /** Undoes what began, last first. A step that failed is undone too: it may have taken effect. */
  async #back(): Promise<RunEnd | 'forward'> {
    for (const { position, state } of this.#journal.steps.toReversed()) {
      const step = this.#kind.steps[position]!;
      if (state === 'undone' || (state === 'waiting' && step.undoAlways !== true)) continue;
      let found: TooLate<unknown> | void;
      try {
        found = await step.undo?.(this.#context(position, never, '/undo'));
      } catch (thrown) {
        if (this.#seams.stopped.aborted) return 'left';
        const error = this.#errorOf(position, thrown);
        if (isDeposed(error.code)) return 'left';
        const again = isTransient(error.code) && this.#attempts(position) < this.#seams.retry.insistent;
        return again ? await this.#tryLater(position) : await this.#park(position, error);
      }
      if (found !== undefined) return await this.#stands(position, found.tooLate);
      this.#journal = await this.#write('undone', position, async ({ tx, now }) =>
        setStep(tx, this.#journal, position, { state: 'undone', finishedAt: now }),
      );
    }
    return await this.#endUndone();
  }

  async #endUndone(): Promise<RunEnd> {
    const because = this.#journal.task.error ?? cancelled;
    try {
      await this.#write('end', 0, async (write) => {
        await this.#kind.undone?.(this.#apply(write), because);
        await endTask(write, this.#journal, because.code === 'cancelled' ? 'cancelled' : 'failed');
      });
      return 'over';
    } catch (error) {
      if (!(error instanceof KvasirError) || isDeposed(error.code)) throw error;
      return await this.#park(0, errorOf(error));
    }
  }

  async #tryLater(position: number): Promise<RunEnd> {
    await this.#write('later', position, async ({ tx, now }) => {
      const attempts = this.#attempts(position);
      const counted = await setStep(tx, this.#journal, position, { attempts });
      await setTask(tx, counted, { notBefore: now + this.#seams.retry.delayMs(attempts) });
    });
    return 'later';
  }

  /** Neither forward nor back: it keeps its locks and waits for an operator. Why it was being undone stays in the details. */
  async #park(position: number, error: TaskError): Promise<RunEnd> {
    await this.#write('parked', position, async ({ tx, now }) => {
      const because = this.#journal.task.error;
      const details = because && { becauseCode: because.code, becauseMessage: because.message };
      const message = `Step ${this.#kind.steps[position]!.name}: ${error.message}`;
      const parked = await setTask(tx, this.#journal, {
        state: 'parked',
        cancellable: false,
        parkedAt: now,
        error: { code: error.code, message, details: { ...error.details, ...details } },
      });
      await taskEvent(tx, parked.task, now, 'task.parked');
    });
    return 'over';
  }

  async #write<T>(what: string, position: number, work: (write: JournalWrite) => Promise<T>): Promise<T> {
    return await this.#seams.journal.write(`${what} ${this.#kind.steps[position]!.name}`, work);
  }

  /** Tries of the step, with the one that failed just now. */
  #attempts(position: number): number {
    return this.#journal.steps[position]!.attempts + 1;
  }

  #hasWayBack(position: number): boolean {
    return !this.#kind.steps.slice(0, position + 1).some((step) => step.forwardOnly === true);
  }

  #apply({ tx, now, ids }: JournalWrite): ApplyContext<unknown> {
    return { task: this.#journal.task, params: this.#journal.task.params, tx, now, ids };
  }

  #context(position: number, cancel: AbortSignal, suffix: string): StepContext<unknown> {
    return stepContext(this.#seams, this.#journal, {
      key: `${this.#journal.task.id}/${this.#kind.steps[position]!.name}${suffix}`,
      cancel,
      stopped: this.#seams.stopped,
      clearing: suffix !== '' || !this.#hasWayBack(position),
      progress: (seen) => this.#progress.seen(position, seen),
    });
  }

  #errorOf(position: number, thrown: unknown): TaskError {
    if (thrown instanceof KvasirError) return errorOf(thrown);
    const logId = this.#seams.ids.uuid();
    const { id, kind } = this.#journal.task;
    const details = { logId, task: id, kind, step: this.#kind.steps[position]!.name, error: thrown };
    this.#seams.log('A step of a task failed in an unknown way', details);
    return errorOf(new KvasirError('internal', { logId }));
  }
}

function errorOf(error: KvasirError): TaskError {
  return { code: error.code, message: error.message, details: error.details };
}
