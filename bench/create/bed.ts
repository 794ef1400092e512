/** A lab of one real host with a manager, the tiny image and a client, for one run of the benchmark. */
import { join } from 'node:path';
import type { Client } from '@kvasir/api/client.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { until } from '@kvasir/lab/processes.ts';
import { withLabCloud } from '../lab-cloud.ts';
import { StartWatch } from './start-watch.ts';

const options = { hosts: 1, firstPort: 18_300, power: false };
const taskLimitMs = 120_000;

export interface Bed {
  readonly client: Client;
  readonly host: LabHost;
  readonly watch: StartWatch;
  readonly databaseFile: string;
  /** Resolves when the task has succeeded; rejects with its error. */
  done(taskId: string): Promise<void>;
}

/** Makes it, works with it, removes it, also when the work fails. */
export function withBed<T>(work: (bed: Bed) => Promise<T>): Promise<T> {
  return withLabCloud(options, async ({ lab, client }) => {
    const host = lab.host('h1');
    const watch = await StartWatch.open(host.path(insideHost.libvirtSocket));
    try {
      const databaseFile = join(lab.layout.managerDirectory, 'state.db');
      return await work({ client, host, watch, databaseFile, done: (taskId) => taskDone(client, taskId) });
    } finally {
      await watch.close();
    }
  });
}

async function taskDone(client: Client, taskId: string): Promise<void> {
  const task = await until(`end of task ${taskId}`, taskLimitMs, async () => {
    const now = await client.call(taskOperations.get, { params: { task: taskId } });
    return ['succeeded', 'failed', 'cancelled', 'parked'].includes(now.state) ? now : undefined;
  });
  if (task.state !== 'succeeded') throw new Error(`task ${task.kind} ${task.state}: ${task.error?.message ?? ''}`);
}
