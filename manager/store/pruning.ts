/**
 * Removes what is no longer needed, at most `limit` rows at once, oldest first, each by an index: a batch is short, so that
 * nobody waits long for it. Each answers how many rows went.
 */
import type { Executor, Tx } from './database.ts';

/** Number and time of the oldest events, in order. */
export async function oldestEvents(ex: Executor, limit: number): Promise<{ seq: number; at: number }[]> {
  return await ex.selectFrom('events').select(['seq', 'at']).orderBy('seq').limit(limit).execute();
}

export async function removeEventsUpTo(tx: Tx, seq: number): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('events').where('seq', '<=', seq).executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

export async function removeAuditBefore(tx: Tx, at: number, limit: number): Promise<number> {
  const oldest = tx.selectFrom('audit').select('id').where('at', '<', at).orderBy('at').orderBy('id').limit(limit);
  const { numDeletedRows } = await tx.deleteFrom('audit').where('id', 'in', oldest).executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Tasks that ended before `at`, with their steps; never one that is parked or under way. */
export async function removeTasksEndedBefore(tx: Tx, at: number, limit: number): Promise<number> {
  const oldest = tx
    .selectFrom('tasks')
    .select('id')
    .where('createdAt', '<', at)
    .where('state', 'in', ['succeeded', 'failed', 'cancelled'])
    .where('finishedAt', '<', at)
    .orderBy('createdAt')
    .orderBy('id')
    .limit(limit);
  const { numDeletedRows } = await tx.deleteFrom('tasks').where('id', 'in', oldest).executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

/** Logins and one-time tokens whose time is over. */
export async function removeExpired(
  tx: Tx,
  table: 'sessions' | 'joinTokens',
  now: number,
  limit: number,
): Promise<number> {
  const expired = tx.selectFrom(table).select('id').where('expiresAt', '<=', now).limit(limit);
  const { numDeletedRows } = await tx.deleteFrom(table).where('id', 'in', expired).executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}

export async function removeExpiredIdempotencyKeys(tx: Tx, now: number, limit: number): Promise<number> {
  const expired = await tx
    .selectFrom('idempotencyKeys')
    .select(['userId', 'key'])
    .where('expiresAt', '<=', now)
    .limit(limit)
    .execute();
  for (const { userId, key } of expired) {
    await tx.deleteFrom('idempotencyKeys').where('userId', '=', userId).where('key', '=', key).execute();
  }
  return expired.length;
}
