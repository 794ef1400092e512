/**
 * Follows one task to its end and shows how far it is: a bar that is redrawn on a terminal, a line for each change
 * elsewhere (both on stderr). The manager may restart meanwhile: the task is durable, so asking goes on until nobody
 * has answered for `patienceMs`. Interrupting stops the watching, never the task.
 */
import { type Client, UnreachableError } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { type Task, taskOperations } from '@kvasir/api/resources/task.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { progressBar } from './progress-bar.ts';
import type { Surroundings } from './surroundings.ts';

const intervalMs = 250;
const patienceMs = 120_000;

export function isFinished(task: Task): boolean {
  return ['succeeded', 'failed', 'cancelled', 'parked'].includes(task.state);
}

/** The finished task; what became of it is the caller's business. */
export async function waitForTask(client: Client, id: string, around: Surroundings): Promise<Task> {
  const display = progressBar(around);
  let silentSince: number | undefined;
  try {
    for (;;) {
      try {
        const task = await client.call(taskOperations.get, { params: { task: id }, signal: around.interrupted });
        silentSince = undefined;
        display.show(describeProgress(task), task.progress.percent);
        if (isFinished(task)) return task;
      } catch (error) {
        if (!isPassing(error)) throw error;
        silentSince ??= performance.now();
        if (performance.now() - silentSince > patienceMs) throw error;
        display.show('the manager does not answer; asking again', undefined);
      }
      await pause(intervalMs, undefined, { signal: around.interrupted });
    }
  } catch (error) {
    if (around.interrupted.aborted) {
      display.end();
      around.stderr.write(`the task goes on; watch it with: kvasir task watch ${id}\n`);
    }
    throw error;
  } finally {
    display.end();
  }
}

/** A task's outcome as one line for people. */
export function describeOutcome(task: Task): string {
  const head = `${task.kind} ${task.target.name}: ${task.state}`;
  if (task.state !== 'succeeded' || task.finishedAt === null) return head;
  const seconds = (Date.parse(task.finishedAt) - Date.parse(task.startedAt ?? task.createdAt)) / 1000;
  const { downtimeMs } = task.progress;
  return `${head} in ${seconds.toFixed(1)} s${downtimeMs === null ? '' : `, downtime ${downtimeMs} ms`}`;
}

/** Why it did not succeed, or undefined. */
export function failureOf(task: Task): string | undefined {
  if (task.state === 'succeeded') return undefined;
  if (task.error) return task.error.message;
  if (task.state === 'cancelled') return `${task.kind} ${task.target.name} was cancelled`;
  if (task.state === 'parked')
    return `${task.kind} ${task.target.name} is parked: its undo failed; see kvasir task show ${task.id}`;
  return `${task.kind} ${task.target.name} failed`;
}

function describeProgress(task: Task): string {
  const { step, bytesDone, bytesTotal } = task.progress;
  const bytes = bytesTotal ? `, ${mib(bytesDone ?? 0)} of ${mib(bytesTotal)} MiB` : '';
  return `${task.kind} ${task.target.name}: ${task.state}${step === null ? '' : ` (${step}${bytes})`}`;
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(bytes < 10 * 1024 * 1024 ? 1 : 0);
}

/** The manager restarts or has no leader for a moment: asking again is right. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof UnreachableError || (error instanceof KvasirError && (error.status >= 500 || error.status === 429))
  );
}
