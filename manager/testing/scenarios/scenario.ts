/** One trial of a task, and words that all trials use. */
import assert from 'node:assert/strict';
import type { Tx } from '../../store/database.ts';
import { imageCopies } from '../../store/images.ts';
import { type VmRow, vms } from '../../store/vms.ts';
import type { NewTask, TaskTarget } from '../../tasks/enqueue.ts';
import type { TaskKindName, TaskParams } from '../../tasks/params.ts';
import type { TaskWorld } from '../task-world.ts';

export interface Scenario {
  readonly task: NewTask<TaskKindName>;
  /** Rows of the intent that name the task, in its transaction. */
  readonly enqueued?: (tx: Tx, taskId: string) => Promise<void>;
  /** Throws when the task that succeeded did not do what was asked. */
  check(): Promise<void>;
}

/** By the circumstances under which the task is tried. */
export type Scenarios = Readonly<Record<string, (world: TaskWorld) => Promise<Scenario>>>;

export const target = (kind: string, row: { readonly id: string; readonly name: string }): TaskTarget => ({
  kind,
  id: row.id,
  name: row.name,
});

export function scenario<K extends TaskKindName>(
  kind: K,
  on: TaskTarget,
  params: TaskParams<K>,
  check: () => Promise<void>,
  locks: readonly TaskTarget[] = [],
): Scenario {
  const task: NewTask<K> = { kind, params, target: on, locks, projectId: null, userId: null };
  return { task: task, check };
}

export async function vmIs(world: TaskWorld, id: string, wanted: Partial<VmRow>): Promise<void> {
  const vm = await vms.get(world.store.db, id);
  assert.deepEqual({ ...vm, ...wanted }, vm);
}

/** The image lies in the shared pool alone; it has to be on h2 when its volume is made there. */
export async function imageIsOn(world: TaskWorld, hostId: string): Promise<void> {
  const copy = await imageCopies.find(world.store.db, { imageId: world.image!.id, hostId });
  assert.equal(copy?.state, 'ready');
  assert.deepEqual([...world.hosts.host(hostId).images], [world.image!.id]);
}
