/** When an action on a VM is possible. The server enforces these rules and the console greys out buttons by the same ones. */
import type { VmState } from './vm.ts';

export interface VmSituation {
  readonly state: VmState;
  /** Task that works on it, or null. */
  readonly taskId: string | null;
}

const allowed = {
  start: ['stopped', 'suspended', 'crashed'],
  stop: ['running', 'paused', 'crashed'],
  reset: ['running', 'paused'],
  pause: ['running'],
  resume: ['paused'],
  suspend: ['running', 'paused'],
  migrate: ['running', 'paused'],
  resize: ['running', 'paused', 'stopped'],
  attach: ['running', 'paused', 'stopped'],
  detach: ['running', 'paused', 'stopped'],
  update: ['stopped', 'running', 'paused', 'suspended', 'crashed', 'unknown', 'failed'],
  delete: ['stopped', 'suspended', 'crashed', 'failed', 'trashed'],
  forceDelete: ['stopped', 'suspended', 'crashed', 'failed', 'trashed', 'running', 'paused'],
  restore: ['trashed'],
  console: ['running', 'paused'],
  screenshot: ['running', 'paused'],
} as const satisfies Record<string, readonly VmState[]>;

export type VmAction = keyof typeof allowed;
export const vmActions = Object.keys(allowed) as readonly VmAction[];

/** Actions that only read, or whose change is in the manager's own state: a running task does not forbid them. */
const besideTasks: readonly VmAction[] = ['console', 'screenshot', 'update'];

/** Whether the action's state fits: `vmAllows('start', vm)`. */
export function vmAllows(action: VmAction, vm: VmSituation): boolean {
  return (
    (allowed[action] as readonly VmState[]).includes(vm.state) && (vm.taskId === null || besideTasks.includes(action))
  );
}
