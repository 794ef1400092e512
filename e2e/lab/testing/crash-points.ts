/**
 * The moments at which crash tests kill a process, told by what is seen, not by the clock: the manager's journal of steps,
 * the agent's journal of finished calls, and what libvirt and the disk show. The middle of a step is a share of the time
 * that it took in a first run without a crash.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LabHost } from '@kvasir/lab/host.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { endProcesses, type ProcessIdentity, signal, until } from '@kvasir/lab/processes.ts';
import type { TaskDatabase } from './task-database.ts';

/**
 * `unheard`: a step's work is done where it is done, but the victim has not heard or not written down that it is. `cancelled`
 * with it: the manager has written down a cancel just before.
 */
export type Moment =
  | { readonly at: 'acknowledged' }
  | { readonly at: 'step'; readonly step: string; readonly share?: number }
  | { readonly at: 'unheard'; readonly step: string; readonly cancelled?: true }
  /** The manager has written down a cancel of the step that moves bytes, and dies before anybody hears of it. */
  | { readonly at: 'cancelled'; readonly step: string }
  /** The task was cancelled when the step began, and now takes back what it did. */
  | { readonly at: 'undoing'; readonly cancelled: string }
  | { readonly at: 'ended' };

export function describeMoment(moment: Moment): string {
  if (moment.at === 'acknowledged') return 'acknowledged';
  if (moment.at === 'ended') return 'ended';
  if (moment.at === 'cancelled') return `cancelled in ${moment.step}, unheard`;
  if (moment.at === 'undoing') return `cancelled in ${moment.cancelled}, being undone`;
  if (moment.at === 'unheard') return `${moment.step} done, unheard${moment.cancelled ? ', and cancelled' : ''}`;
  return moment.share === undefined ? `${moment.step} begins` : `${moment.step} at ${moment.share * 100} %`;
}

export interface Victim {
  readonly process: ProcessIdentity;
  /** For `unheard`: whether the work of the step has taken effect. */
  readonly hasEffect: () => boolean | Promise<boolean>;
}

const patienceMs = 60_000;

/** Waits for the moment and kills; resolves when the victim is dead. */
export async function killAt(
  moment: Moment,
  victim: Victim,
  { tasks, taskId, stepMs }: { readonly tasks: TaskDatabase; readonly taskId: string; readonly stepMs: StepTimes },
): Promise<void> {
  if (moment.at === 'ended') await until('end of the task', patienceMs, () => isOver(tasks.state(taskId)));
  if (moment.at === 'step' || moment.at === 'unheard') await stepBegins(tasks, taskId, moment.step);
  if (moment.at === 'cancelled') await until('bytes on their way', patienceMs, () => tasks.hasMoved(taskId));
  if (moment.at === 'undoing') {
    await until('undo of the task', patienceMs, () => {
      const state = tasks.state(taskId);
      if (isOver(state)) throw new Error(`the task ${state ?? ''} before it could be undone`);
      return state === 'undoing';
    });
  }
  if (moment.at === 'step') await delay((moment.share ?? 0) * (stepMs.get(moment.step) ?? 0));
  if (moment.at === 'unheard') await holdUntil(victim);
  await endProcesses([victim.process], 0);
  if (moment.at === 'cancelled' || (moment.at === 'unheard' && moment.cancelled)) tasks.requestCancel(taskId);
}

export async function stepBegins(tasks: TaskDatabase, taskId: string, step: string): Promise<void> {
  await until(`step ${step}`, patienceMs, () => {
    return tasks.steps(taskId).some(({ name, state }) => name === step && state !== 'waiting');
  });
}

export type StepTimes = ReadonlyMap<string, number>;

/** How long each step of a finished task took. */
export function stepTimes(tasks: TaskDatabase, taskId: string): StepTimes {
  return new Map(
    tasks.steps(taskId).map(({ name, startedAt, finishedAt }) => [name, (finishedAt ?? 0) - (startedAt ?? 0)] as const),
  );
}

export function isOver(state: string | undefined): boolean {
  return state !== undefined && ['succeeded', 'failed', 'cancelled', 'parked'].includes(state);
}

/** Whether the agent's journal on a host's disk has the answer of a call whose key begins so. */
export function agentFinished(host: LabHost, key: string): boolean {
  const journal = readFileSync(join(host.layout.disk, insideHost.agentState, 'journal'), 'utf8');
  return journal.includes(`"key":"${key}`);
}

/**
 * Lets the victim work in moments of a few milliseconds until the effect shows while it stands still, so that it cannot
 * have gone on from there. Whatever it asked others to do goes on meanwhile.
 */
async function holdUntil({ process, hasEffect }: Victim): Promise<void> {
  const end = performance.now() + patienceMs;
  while (performance.now() < end) {
    if (!signal(process, 'SIGSTOP')) throw new Error('the process to be killed ended by itself');
    for (let look = 0; look < 10; look++) {
      if (await hasEffect()) return;
      await delay(25);
    }
    signal(process, 'SIGCONT');
    await delay(4);
  }
  throw new Error('the effect did not show');
}
