/**
 * The form of a kind of task: an ordered list of named steps. A task is data (its row and the journal of its steps), so any
 * manager can go on with it.
 *
 * Invariants: a step is idempotent under its key (`task/step`), because it is repeated after a crash; its answer is journaled,
 * and its `apply` writes rows in the same transaction as the journal. A failed or cancelled task undoes its steps in reverse
 * order, the one that failed included, since it may have taken effect; where that proves to be too late, it goes on. Steps
 * make no choices.
 */
import type { Readable, Writable } from 'node:stream';
import type { Progress } from '@kvasir/api/agent/link.ts';
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import type { imageOpen } from '@kvasir/api/agent/storage.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import type { TaskError, TaskRow } from '../store/tasks.ts';
import type { NewTask } from './enqueue.ts';
import type { TaskKindName, TaskParams } from './params.ts';
import type { PowerControl } from './power-control.ts';

/** What a `call` that is under way tells of its progress. */
export type CallProgress = Omit<Progress, 'key'>;

export interface CallOptions {
  /** `task/step…`; the agent answers a key that it finished from its journal. Queries need none. */
  readonly key?: string;
  /** Aborting asks the agent to stop (`call.cancel`); the call then fails with `cancelled`, or succeeds when it was too late. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CallProgress) => void;
}

/** The links to the agents, as far as tasks use them. A `change` is sent with the epoch of the leader's lease. */
export interface HostCalls {
  /**
   * @throws KvasirError `host-unreachable` and `timeout` when it is unknown whether it took effect (tasks repeat the call with
   * its key), `stale-epoch`, or what the agent answered
   */
  call<M extends AgentMethod>(
    hostId: string,
    method: M,
    params: ParamsOf<M>,
    options?: CallOptions,
  ): Promise<ResultOf<M>>;
  /** Opens a stream to write content to (`image.import` names its id). Ends or fails with the link. */
  openStream(hostId: string): Promise<{ readonly streamId: number; readonly content: Writable }>;
  /** Reads an image's file. @throws host-unreachable, or what the agent answered */
  openImage(
    hostId: string,
    image: ParamsOf<typeof imageOpen>,
  ): Promise<{ readonly content: Readable; readonly sizeBytes: number }>;
  /**
   * Returns when the host has taken its part of the distributed switch as the database says it now; with `everywhere` also the
   * other hosts, as far as they are connected and answer soon. `StepContext.call` sees to it before a VM is plugged in anywhere.
   * @throws KvasirError as `call` does
   */
  switchReady(hostId: string, how: { readonly everywhere: boolean }): Promise<void>;
  /** Ports came, went or moved: all hosts shall hear of it soon. */
  switchChanged(): void;
}

/** Finished uploads, as files of the manager. */
export interface UploadSpool {
  open(uploadId: string): Promise<Readable>;
  /** One that is not there counts as removed. */
  remove(uploadId: string): Promise<void>;
}

/** Writes a task in the transaction of its intent. @throws KvasirError `busy` */
export type Enqueue = <K extends TaskKindName>(tx: Tx, task: NewTask<K>) => Promise<TaskRow>;

export interface TaskProgress {
  /** Of this step, 0 to 100. */
  readonly percent?: number;
  readonly bytesDone?: number | null;
  readonly bytesTotal?: number | null;
  readonly downtimeMs?: number | null;
}

export interface StepContext<P> {
  readonly task: TaskRow;
  readonly params: P;
  readonly store: Store;
  /** For reads: `store.db`. */
  readonly db: Executor;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly hosts: HostCalls;
  readonly spool: UploadSpool;
  readonly power: PowerControl;
  /** `task/step`, or `task/step/undo` in an undo. */
  readonly key: string;
  /** Aborted by a cancel, or when this manager is no longer the leader. */
  readonly signal: AbortSignal;
  /** Cheap: written at most twice a second. */
  progress(progress: TaskProgress): void;
  /** `hosts.call` with this step's key (and `part`, when a step calls more than once), its signal and its progress. */
  call<M extends AgentMethod>(hostId: string, method: M, params: ParamsOf<M>, part?: string): Promise<ResultOf<M>>;
  /** For a task that begins others. */
  readonly enqueue: Enqueue;
  /** Journaled answer of an earlier step. */
  resultOf<R>(step: Step<P, R>): R;
}

/** What the transactions of the journal get. */
export interface ApplyContext<P> {
  readonly task: TaskRow;
  readonly params: P;
  readonly tx: Tx;
  readonly now: number;
  readonly ids: Ids;
}

/** An undo's answer that the step cannot be taken back any more: the task goes on after it, whatever it was being undone for. */
export interface TooLate<R> {
  /** The step's answer, should it not have been journaled before. */
  readonly tooLate: R;
}

export interface Step<P, R = unknown> {
  readonly name: string;
  /** Answers something that JSON can hold; undefined becomes null. */
  run(context: StepContext<P>): Promise<R>;
  /** Rows that change with this step's success. */
  apply?(context: ApplyContext<P>, result: R): Promise<void>;
  /**
   * Takes back what `run` did or may have done. Must succeed when there is nothing to take back. May find that it is too late,
   * for the step is done for good; only one that comes right before a `forwardOnly` step may.
   */
  undo?(context: StepContext<P>): Promise<TooLate<R> | void>;
  /** `undo` runs although the step never began: it clears what the intent brought along. */
  readonly undoAlways?: boolean;
  /** From here there is no way back: no cancel, and a failure parks the task for an operator instead of undoing it. */
  readonly forwardOnly?: boolean;
  /** Share of the progress bar; default 1. */
  readonly weight?: number;
}

export interface TaskKind<K extends TaskKindName = TaskKindName, P = TaskParams<K>> {
  readonly kind: K;
  readonly cancellable: boolean;
  readonly steps: readonly Step<P>[];
  /** Rows of the end, in the transaction that ends the task. */
  done?(context: ApplyContext<P>): Promise<void>;
  /** Puts the rows of the intent back, in the transaction that ends the task as failed or cancelled. */
  undone?(context: ApplyContext<P>, because: TaskError): Promise<void>;
}

/** Any kind, for those who walk over all of them. */
export type AnyTaskKind = TaskKind<TaskKindName, unknown>;

export function defineTask<K extends TaskKindName>(definition: TaskKind<K>): TaskKind<K> {
  return definition;
}

/** A step by itself, for a later step that asks for its result. */
export function defineStep<K extends TaskKindName, R>(
  _kind: K,
  definition: Step<TaskParams<K>, R>,
): Step<TaskParams<K>, R> {
  return definition;
}
