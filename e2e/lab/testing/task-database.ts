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
  readonly #database: DatabaseSync;

  constructor(lab: Lab) {
    this.#database = new DatabaseSync(join(lab.layout.managerDirectory, 'state.db'), { readOnly: true });
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

  /** Names of targets that a task still holds. */
  locks(): string[] {
    const rows = this.#database
      .prepare('select target_kind as kind, target_id as id, task_id as task from task_locks')
      .all();
    return rows.map(({ kind, id, task }) => `lock of task ${String(task)} on ${String(kind)} ${String(id)}`);
  }
}
