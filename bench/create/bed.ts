/** A lab of one real host with a manager, the tiny image and a client, for one run of the benchmark. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '@kvasir/api/client.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { apiPort } from '@kvasir/lab/api-port.ts';
import { Cloud } from '@kvasir/lab/cloud.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { until } from '@kvasir/lab/processes.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { StartWatch } from './start-watch.ts';

const firstPort = 18_300;
const profile = 'bench';
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
export async function withBed<T>(work: (bed: Bed) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-bench-'));
  const name = testLabName('bench');
  try {
    const image = await tinyGuestImage();
    const lab = await Lab.up({ name, hosts: 1 });
    const configFile = join(directory, 'config.json');
    const cloud = new Cloud(lab, { port: await apiPort(lab, firstPort), profile, configFile });
    await cloud.startManager();
    await cloud.login();
    await cloud.joinHosts();
    await cloud.makePools();
    await cloud.importImage(image.path);
    const { profiles } = JSON.parse(readFileSync(configFile, 'utf8')) as {
      readonly profiles: Readonly<Record<string, { readonly token: string }>>;
    };
    const client = createClient({ baseUrl: cloud.url, token: profiles[profile]?.token ?? '' });
    const host = lab.host('h1');
    const watch = await StartWatch.open(host.path(insideHost.libvirtSocket));
    try {
      const databaseFile = join(lab.layout.managerDirectory, 'state.db');
      return await work({ client, host, watch, databaseFile, done: (taskId) => taskDone(client, taskId) });
    } finally {
      await watch.close();
    }
  } finally {
    await Lab.remove(name);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function taskDone(client: Client, taskId: string): Promise<void> {
  const task = await until(`end of task ${taskId}`, taskLimitMs, async () => {
    const now = await client.call(taskOperations.get, { params: { task: taskId } });
    return ['succeeded', 'failed', 'cancelled', 'parked'].includes(now.state) ? now : undefined;
  });
  if (task.state !== 'succeeded') throw new Error(`task ${task.kind} ${task.state}: ${task.error?.message ?? ''}`);
}
