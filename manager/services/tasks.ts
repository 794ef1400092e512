/** Tasks as people see them, and what they may ask of one: to stop, or (operators) to try a parked undo again. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Task, taskOperations } from '@kvasir/api/resources/task.ts';
import { sql } from 'kysely';
import type { Executor } from '../store/database.ts';
import { projects } from '../store/projects.ts';
import { requestCancel, type TaskRow, tasks, taskSteps } from '../store/tasks.ts';
import { enqueueTask, type NewTask } from '../tasks/enqueue.ts';
import type { TaskKindName } from '../tasks/params.ts';
import { retryTask as retryParked } from '../tasks/retry.ts';
import { actorOf, forbidden, isOperator, projectOf, roleIn, visibleProjectIds } from './access.ts';
import type { Call, Change, ChangeService, ReadService } from './call.ts';
import { announce } from './changes.ts';
import { targetNamed } from './target-filter.ts';
import { iso, isoOrNull } from './views.ts';

/** Writes a task of this change for its user and answers what the client gets. @throws busy */
export async function startTask<K extends TaskKindName>(
  change: Change,
  task: Omit<NewTask<K>, 'userId'>,
): Promise<Task> {
  const row = await enqueueTask(change.tx, change.env, { ...task, userId: change.actor?.userId ?? null });
  return taskView(change.db, row);
}

export const listTasks: ReadService<typeof taskOperations.list> = async (call, { query }) => {
  const { project, state, kind, target, ...paging } = query;
  const matching = await visible(call, project);
  const where = { state, kind, targetId: await targetNamed(call.db, tasks, target, matching) };
  const page = await tasks.list(call.db, { sort: '-createdAt', ...paging, where, matching });
  return { ...page, items: await taskViews(call.db, page.items) };
};

export const getTask: ReadService<typeof taskOperations.get> = async (call, { params }) =>
  taskView(call.db, await findTask(call, params.task));

export const cancelTask: ChangeService<typeof taskOperations.cancel> = async (change, { params }) => {
  const row = await findTask(change, params.task);
  if (!(await mayChange(change, row))) throw forbidden(change);
  if (row.cancelRequestedAt === null && !(await requestCancel(change.tx, row.id, change.env.clock.now()))) {
    throw new KvasirError('wrong-state', { action: 'cancel', kind: tasks.kind, name: row.kind, state: row.state });
  }
  await announce(change, {
    kind: 'task.cancel-asked',
    message: `Task ${row.kind} of ${row.targetName} shall stop`,
    target: { kind: row.targetKind, id: row.targetId, name: row.targetName },
    projectId: row.projectId,
    taskId: row.id,
  });
  return taskView(change.db, await tasks.get(change.tx, row.id));
};

export const retryTask: ChangeService<typeof taskOperations.retry> = async (change, { params }) => {
  const row = await findTask(change, params.task);
  return taskView(change.db, await retryParked(change.tx, row.id));
};

async function visible(call: Call, project: string | undefined) {
  if (project !== undefined) return [sql<boolean>`project_id = ${(await projectOf(call, project)).id}`];
  const ids = await visibleProjectIds(call);
  if (ids === undefined) return [];
  const own = sql<boolean>`user_id = ${actorOf(call).userId}`;
  return [ids.length === 0 ? own : sql<boolean>`(${own} or project_id in (${sql.join(ids)}))`];
}

/** @throws not-found */
async function findTask(call: Call, id: string): Promise<TaskRow> {
  const row = await tasks.get(call.db, id);
  const actor = actorOf(call);
  const seen = isOperator(actor) || row.userId === actor.userId || (await roleFor(call, row)) !== undefined;
  if (!seen) throw new KvasirError('not-found', { kind: tasks.kind, id });
  call.scope.projectId = row.projectId;
  return row;
}

/** Whoever started it (and is still in the project), the project's members, and the system's administrator. */
async function mayChange(call: Call, row: TaskRow): Promise<boolean> {
  if (actorOf(call).systemRole === 'admin') return true;
  const role = await roleFor(call, row);
  return role === 'member' || role === 'admin';
}

async function roleFor(call: Call, row: TaskRow) {
  const project = row.projectId === null ? undefined : await projects.find(call.db, { id: row.projectId });
  return project && roleIn(actorOf(call), project);
}

export async function taskView(db: Executor, row: TaskRow): Promise<Task> {
  return (await taskViews(db, [row]))[0]!;
}

async function taskViews(db: Executor, rows: readonly TaskRow[]): Promise<Task[]> {
  const steps = Map.groupBy(
    await taskSteps.select(db, { taskId: rows.map(({ id }) => id) }, 'position'),
    ({ taskId }) => taskId,
  );
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    state: row.state,
    target: { kind: row.targetKind, id: row.targetId, name: row.targetName },
    projectId: row.projectId,
    userId: row.userId,
    progress: {
      percent: row.percent,
      step: row.step,
      bytesDone: row.bytesDone,
      bytesTotal: row.bytesTotal,
      downtimeMs: row.downtimeMs,
    },
    steps: (steps.get(row.id) ?? []).map(({ name, state }) => ({ name, state })),
    cancellable: row.cancellable && (row.state === 'queued' || row.state === 'running'),
    error: row.error && { code: row.error.code, message: row.error.message },
    createdAt: iso(row.createdAt),
    startedAt: isoOrNull(row.startedAt),
    finishedAt: isoOrNull(row.finishedAt),
  }));
}
