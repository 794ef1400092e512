/**
 * The manager's tasks as its database file has them, read while it runs, is stopped or is dead. For tests that need the very
 * moment of a step, and for what no API shows (locks).
 */
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import type { Lab } from '@kvasir/lab/lab.ts';

export interface StepSeen {
  readonly name: string;
  readonly state: string;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

export class TaskDatabase {
  readonly #path: string;
  readonly #database: DatabaseSync;

  constructor(lab: Lab) {
    this.#path = join(lab.layout.managerDirectory, 'state.db');
    this.#database = new DatabaseSync(this.#path, { readOnly: true });
  }

  close(): void {
    this.#database.close();
  }

  state(taskId: string): string | undefined {
    return this.#database.prepare('select state from tasks where id = ?').get(taskId)?.state as string | undefined;
  }

  steps(taskId: string): StepSeen[] {
    const query =
      'select name, state, started_at as startedAt, finished_at as finishedAt from task_steps where task_id = ? order by position';
    return this.#database.prepare(query).all(taskId) as unknown as StepSeen[];
  }

  /** Whether a step has told how many bytes it moved. */
  hasMoved(taskId: string): boolean {
    const row = this.#database.prepare('select bytes_done as bytes from tasks where id = ?').get(taskId);
    return Number(row?.bytes ?? 0) > 0;
  }

  /** What the manager writes before it answers a cancel; while it is dead, so that nobody has acted on it. */
  requestCancel(taskId: string): void {
    // A process that was just killed may hold its locks for a moment.
    const database = new DatabaseSync(this.#path, { timeout: 5000 });
    try {
      const request = 'update tasks set cancel_requested_at = ? where id = ? and cancellable = 1';
      const { changes } = database.prepare(request).run(Date.now(), taskId);
      if (Number(changes) !== 1) throw new Error('the task could not be cancelled any more');
    } finally {
      database.close();
    }
  }

  /** Names of targets that a task still holds. */
  locks(): string[] {
    const rows = this.#database
      .prepare('select target_kind as kind, target_id as id, task_id as task from task_locks')
      .all();
    return rows.map(({ kind, id, task }) => `lock of task ${String(task)} on ${String(kind)} ${String(id)}`);
  }
}
