/** A task's progress bar: what the running step tells, weighed among all steps, written at most twice a second. */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { type TaskRow, tasks } from '../store/tasks.ts';
import type { AnyTaskKind, TaskProgress } from './kind.ts';

const intervalMs = 500;

type Progress = Pick<TaskRow, 'percent' | 'bytesDone' | 'bytesTotal' | 'downtimeMs'>;

export class ProgressMeter {
  readonly #seams: { readonly store: Store; readonly clock: Clock };
  readonly #kind: AnyTaskKind;
  readonly #taskId: string;
  #progress: Progress;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;

  constructor(seams: { readonly store: Store; readonly clock: Clock }, kind: AnyTaskKind, task: TaskRow) {
    const { percent, bytesDone, bytesTotal, downtimeMs } = task;
    this.#seams = seams;
    this.#kind = kind;
    this.#taskId = task.id;
    this.#progress = { percent, bytesDone, bytesTotal, downtimeMs };
  }

  /** The step begins: for the journal, which is written anyway. */
  entered(position: number): Progress {
    this.#advance(position, { percent: 0 });
    return this.#progress;
  }

  /** The newest, for the journal. */
  taken(): Progress {
    return this.#progress;
  }

  /** The running step tells; soon written. */
  seen(position: number, seen: TaskProgress): void {
    this.#advance(position, seen);
    const now = this.#seams.clock.now();
    if (this.#writing !== undefined || now - this.#writtenAt < intervalMs) return;
    this.#writtenAt = now;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when no write is under way. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    const progress = this.#progress;
    try {
      await this.#seams.store.transaction((tx) => tasks.set(tx, { id: this.#taskId, state: 'running' }, progress));
    } catch {
      // A picture of the progress that is lost is followed by another.
    }
  }

  #advance(position: number, seen: TaskProgress): void {
    const weights = this.#kind.steps.map((step) => step.weight ?? 1);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const before = weights.slice(0, position).reduce((sum, weight) => sum + weight, 0);
    const percent = Math.floor((100 * before + (weights[position] ?? 0) * (seen.percent ?? 0)) / total);
    this.#progress = {
      percent: Math.max(this.#progress.percent, Math.min(percent, 99)),
      bytesDone: seen.bytesDone ?? this.#progress.bytesDone,
      bytesTotal: seen.bytesTotal ?? this.#progress.bytesTotal,
      downtimeMs: seen.downtimeMs ?? this.#progress.downtimeMs,
    };
  }
}
