/**
 * Keeps the state from growing without end: old events, audit entries and tasks (limits: the setting `retention`), logins,
 * join tokens and idempotency keys whose time is over. In small batches with pauses, and only so many at a look: what is
 * left waits for the next one, so neither the event loop nor another writer is held up.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { type Cutoffs, cutoffsOf, eventsToRemove, retentionOf } from '@kvasir/control/retention/retention.ts';
import type { Store, Tx } from '../store/database.ts';
import { lastEventSeq } from '../store/events.ts';
import {
  oldestEvents,
  removeAuditBefore,
  removeEventsUpTo,
  removeExpired,
  removeExpiredIdempotencyKeys,
  removeTasksEndedBefore,
} from '../store/pruning.ts';
import { readSetting } from '../store/settings.ts';

export const retentionSetting = 'retention';

/** Rows in one transaction, and transactions for one table at one look. */
const batchRows = 500;
const mostBatches = 40;
const pauseMs = 20;

export interface PruningSeams {
  readonly store: Store;
  readonly clock: Clock;
}

type Batch = (tx: Tx, limit: number) => Promise<number>;

/** Answers how many rows of each kind went. */
export async function prune(
  { store, clock }: PruningSeams,
  signal: AbortSignal,
  sizes: { readonly rows: number; readonly batches: number } = { rows: batchRows, batches: mostBatches },
): Promise<Readonly<Record<string, number>>> {
  const now = clock.now();
  const retention = retentionOf(await readSetting(store.db, retentionSetting));
  const cutoffs = cutoffsOf(retention, { now, lastEventSeq: await lastEventSeq(store.db) });
  const removed: Record<string, number> = {};
  for (const [name, batch] of Object.entries(batches(cutoffs, now))) {
    removed[name] = 0;
    for (let count = 0; count < sizes.batches && !signal.aborted; count += 1) {
      const rows = await store.transaction((tx) => batch(tx, sizes.rows));
      removed[name] += rows;
      if (rows < sizes.rows) break;
      await clock.sleep(pauseMs, signal);
    }
  }
  return removed;
}

function batches(cutoffs: Cutoffs, now: number): Readonly<Record<string, Batch>> {
  return {
    events: async (tx, limit) => {
      const last = eventsToRemove(await oldestEvents(tx, limit), cutoffs);
      return last === undefined ? 0 : await removeEventsUpTo(tx, last);
    },
    audit: (tx, limit) => removeAuditBefore(tx, cutoffs.auditBefore, limit),
    tasks: (tx, limit) => removeTasksEndedBefore(tx, cutoffs.tasksBefore, limit),
    sessions: (tx, limit) => removeExpired(tx, 'sessions', now, limit),
    joinTokens: (tx, limit) => removeExpired(tx, 'joinTokens', now, limit),
    idempotencyKeys: (tx, limit) => removeExpiredIdempotencyKeys(tx, now, limit),
  };
}
