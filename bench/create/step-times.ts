/** How long each step of a task took by the manager's own journal, read from its SQLite file. */
import { DatabaseSync } from 'node:sqlite';

export interface StepTime {
  readonly step: string;
  readonly ms: number;
}

interface Row {
  readonly name: string;
  readonly started_at: number;
  readonly finished_at: number;
}

/** The steps of a task that succeeded, and before them the wait from the request's commit until the first one began. */
export function stepTimes(databaseFile: string, taskId: string): StepTime[] {
  const database = new DatabaseSync(databaseFile, { readOnly: true });
  try {
    const task = database.prepare('select created_at from tasks where id = ?').get(taskId) as { created_at: number };
    const steps = database
      .prepare('select name, started_at, finished_at from task_steps where task_id = ? order by position')
      .all(taskId) as unknown as Row[];
    const wait = { step: 'wait for the runner', ms: (steps[0]?.started_at ?? task.created_at) - task.created_at };
    return [wait, ...steps.map((row) => ({ step: row.name, ms: row.finished_at - row.started_at }))];
  } finally {
    database.close();
  }
}
