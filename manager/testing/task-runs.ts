/** Runs one task to its end with a runner of its own, with crashes where a test wants them. */
import { type Clock, systemClock } from '@kvasir/api/clock.ts';
import { systemIds } from '../ids.ts';
import { acquireLeadership } from '../store/leader.ts';
import { type TaskRow, tasks } from '../store/tasks.ts';
import { enqueueTask } from '../tasks/enqueue.ts';
import type { JournalProbe } from '../tasks/journal.ts';
import { TaskRunner } from '../tasks/runner.ts';
import type { RetryPolicy } from '../tasks/task-run.ts';
import type { Scenario } from './scenarios/scenario.ts';
import type { TaskWorld } from './task-world.ts';

const over: readonly TaskRow['state'][] = ['succeeded', 'failed', 'cancelled', 'parked'];
const impatient: RetryPolicy = { forward: 3, insistent: 3, delayMs: () => 0 };

/** Time goes ten times as fast: what waits for a host that does not come is not to be waited for here. */
const beganMs = systemClock.now();
const hasty: Clock = {
  now: () => beganMs + 10 * (systemClock.now() - beganMs),
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
  after: (ms, work) => systemClock.after(ms / 10, work),
};

export async function enqueue(world: TaskWorld, { task, enqueued }: Scenario): Promise<string> {
  return await world.store.transaction(async (tx) => {
    const { id } = await enqueueTask(tx, { clock: systemClock, ids: systemIds }, task);
    await enqueued?.(tx, id);
    return id;
  });
}

/** Everything that the runner logged as unknown errors. */
export const unknownErrors: unknown[] = [];

/** Starts a runner as the leader that follows all others. */
export async function lead(
  world: TaskWorld,
  probe?: JournalProbe,
  clock: Clock = hasty,
  more: { readonly concurrency?: number } = {},
): Promise<TaskRunner> {
  const { store, hosts, spool, power } = world;
  const ask = { holder: systemIds.uuid(), now: systemClock.now(), leaseMs: 60_000, isDead: () => true };
  const epoch = (await store.transaction((tx) => acquireLeadership(tx, ask)))!;
  const log = (message: string, details: unknown) => void (probe === undefined && unknownErrors.push(message, details));
  const seams = { store, hosts, spool, power, clock, ids: systemIds, log, retry: impatient, probe, ...more };
  const runner = new TaskRunner(seams);
  runner.start(epoch);
  return runner;
}

export async function taskEnd(world: TaskWorld, taskId: string): Promise<TaskRow> {
  const { promise, resolve } = Promise.withResolvers<TaskRow>();
  const look = async () => {
    // The last look may come when the test has gone on and forgotten the task.
    const task = await tasks.find(world.store.db, { id: taskId });
    if (task !== undefined && over.includes(task.state)) resolve(task);
  };
  const ended = world.store.onCommit(() => void look());
  await look();
  try {
    return await promise;
  } finally {
    ended();
  }
}

/** Runs it to its end without crashes. */
export async function runToEnd(world: TaskWorld, taskId: string): Promise<TaskRow> {
  const runner = await lead(world);
  try {
    return await taskEnd(world, taskId);
  } finally {
    await runner.stop();
  }
}

/** Runs it until its journal is about to be written, or was written, for the `at`th time (from 0); undefined: it never was. */
export async function runToCrash(world: TaskWorld, taskId: string, at: number): Promise<string | undefined> {
  const crashed = Promise.withResolvers<string>();
  let points = 0;
  const runner = await lead(world, (point) => {
    points += 1;
    if (points <= at) return;
    crashed.resolve(point);
    throw new Error('crash');
  });
  const end = await Promise.race([crashed.promise, taskEnd(world, taskId).then(() => undefined)]);
  await runner.stop();
  return end;
}
