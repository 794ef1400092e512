/** What every command that starts a task does with it: tell its id, or wait and end by its outcome. */
import type { Client } from '@kvasir/api/client.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import type { GlobalFlags } from './connection.ts';
import { printData } from './output.ts';
import type { Surroundings } from './surroundings.ts';
import { describeOutcome, failureOf, waitForTask } from './wait-for-task.ts';

export async function announceTask(task: Task, flags: GlobalFlags, around: Surroundings): Promise<void> {
  if (flags.output === 'json' || flags.output === 'yaml') return printData(task, flags.output, around);
  around.stdout.write(`task ${task.id}: ${task.kind} ${task.target.name} ${task.state}\n`);
  around.stderr.write(`watch it with: kvasir task watch ${task.id}\n`);
}

/** Throws when the task does not succeed, after it was printed. */
export async function awaitTask(client: Client, id: string, flags: GlobalFlags, around: Surroundings): Promise<Task> {
  const task = await waitForTask(client, id, around);
  const failure = failureOf(task);
  if (flags.output === 'json' || flags.output === 'yaml') await printData(task, flags.output, around);
  else if (failure === undefined) around.stdout.write(`${describeOutcome(task)}\n`);
  if (failure !== undefined) throw new Error(failure);
  return task;
}
