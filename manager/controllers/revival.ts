/**
 * Lets parked tasks try again that were parked only because a host was away, or did not reach a pool: when that host is up and reaches
 * it, or when it is proven dead and is not needed any more. Not without end, and with longer pauses each time. Whatever was parked for
 * another reason waits for an operator, and so does a task that has been tried often enough.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import { appendEvent } from '../store/events.ts';
import { validProofs } from '../store/fence-proofs.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { poolHosts } from '../store/pools.ts';
import { type TaskRow, tasks } from '../store/tasks.ts';
import { retryTask } from '../tasks/retry.ts';
import { findKind } from '../tasks/kinds.ts';
import { mayPass } from '../tasks/transient.ts';
import { type Log, Rounds } from './rounds.ts';

const everyMs = 5000;
const mostRevivals = 8;
const firstPauseMs = 5000;

export type ParkedTask = Pick<TaskRow, 'id' | 'kind' | 'state' | 'error' | 'parkedAt' | 'revivals'>;
export type KnownHost = Pick<HostRow, 'id' | 'name' | 'state'> & {
  readonly dead: boolean;
  /** Pools that it should reach and does not. */
  readonly lacks: readonly string[];
};

export interface Revival {
  readonly taskId: string;
  readonly revivals: number;
  readonly because: string;
}

export function decideRevivals(parked: readonly ParkedTask[], known: readonly KnownHost[], now: number): Revival[] {
  return parked.flatMap(({ id, kind, state, error, parkedAt, revivals }) => {
    if (state !== 'parked' || error === null || !mayPass(error.code) || revivals >= mostRevivals) return [];
    if (findKind(kind) === undefined) return [];
    const host = known.find((one) => one.id === error.details['hostId']);
    const proven = host?.dead === true;
    const pauseMs = firstPauseMs * 2 ** revivals;
    const { poolId, pool } = error.details as { readonly poolId?: string; readonly pool?: string };
    const able = host?.state === 'up' && (poolId === undefined || !host.lacks.includes(poolId));
    if (host === undefined || !(able || proven) || (parkedAt ?? 0) + pauseMs > now) return [];
    const how = proven ? 'is proven dead' : poolId === undefined ? 'is up' : `reaches the pool ${pool ?? poolId}`;
    return [{ taskId: id, revivals: revivals + 1, because: `the host ${host.name} ${how}` }];
  });
}

export interface RevivalSeams {
  readonly store: Store;
  readonly clock: Clock;
}

/** Looks once; answers how many tasks go on. */
export async function revive(seams: RevivalSeams): Promise<number> {
  const { store, clock } = seams;
  const parked = await tasks.select(store.db, { state: 'parked' });
  if (parked.length === 0) return 0;
  const decided = decideRevivals(parked, await knownHosts(store.db), clock.now());
  let revived = 0;
  for (const { taskId } of decided) {
    revived += (await store.transaction((tx) => apply(tx, taskId, clock.now()))) ? 1 : 0;
  }
  return revived;
}

/** Looks again, for an operator or the host may have been quicker. */
async function apply(tx: Tx, taskId: string, now: number): Promise<boolean> {
  const task = await tasks.find(tx, { id: taskId });
  const [revival] = task ? decideRevivals([task], await knownHosts(tx), now) : [];
  if (!task || !revival) return false;
  await retryTask(tx, taskId, revival.revivals);
  await appendEvent(tx, {
    at: now,
    kind: 'task.retried',
    message: `Task ${task.kind} for ${task.targetKind} "${task.targetName}" tries again: ${revival.because}`,
    target: { kind: task.targetKind, id: task.targetId, name: task.targetName },
    projectId: task.projectId,
    taskId,
    userId: task.userId,
    details: { kind: task.kind, revivals: revival.revivals },
  });
  return true;
}

async function knownHosts(db: Executor): Promise<KnownHost[]> {
  const proofs = await validProofs(db);
  const lacking = await poolHosts.select(db, { reachable: false });
  return (await hosts.select(db)).map((row) => {
    const lacks = lacking.filter(({ hostId }) => hostId === row.id).map(({ poolId }) => poolId);
    return { ...row, dead: proofs.has(row.id), lacks };
  });
}

export function revival(seams: RevivalSeams, log: Log): Rounds {
  return new Rounds({ name: 'retry of parked tasks', clock: seams.clock, everyMs, log, round: () => revive(seams) });
}
