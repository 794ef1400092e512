/** A parked task tries again, because an operator or the manager says so: its undo, or its way forward when there is no way back. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Tx } from '../store/database.ts';
import { type TaskRow, tasks, taskSteps } from '../store/tasks.ts';
import { findKind } from './kinds.ts';

/** `revivals`: as in the row; an operator starts the count anew. @throws KvasirError `wrong-state` when it is not parked, `not-found`, `unsupported` */
export async function retryTask(tx: Tx, taskId: string, revivals = 0): Promise<TaskRow> {
  const task = await tasks.get(tx, taskId);
  if (task.state !== 'parked') {
    throw new KvasirError('wrong-state', { action: 'retry', kind: 'task', name: task.kind, state: task.state });
  }
  const steps = await taskSteps.select(tx, { taskId }, 'position');
  const definition = findKind(task.kind);
  if (definition === undefined)
    throw new KvasirError('unsupported', {
      reason: `a newer version of Kvasir began the task, whose kind is ${task.kind}`,
    });
  const forward = definition.steps.some((step, at) => step.forwardOnly === true && steps[at]?.state === 'running');
  const { becauseCode, becauseMessage } = task.error?.details ?? {};
  const because = { code: String(becauseCode), message: String(becauseMessage), details: {} };
  const error = forward || becauseCode === undefined ? null : because;
  await taskSteps.set(tx, { taskId }, { attempts: 0 });
  await tasks.set(tx, { id: taskId }, { state: forward ? 'running' : 'undoing', error, notBefore: 0, revivals });
  return await tasks.get(tx, taskId);
}
