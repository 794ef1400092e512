/**
 * One watcher's stream of server-sent events: everything it may see after the number it has, in order, once. The credential
 * and the projects are looked at again now and then, so that a revoked role ends what is shown.
 */
import { Readable } from 'node:stream';
import type { eventOperations } from '@kvasir/api/resources/event.ts';
import { eventsAfter, lastEventSeq } from '../store/events.ts';
import type { Call, OpenService } from './call.ts';
import { eventProjectIds, eventView } from './events.ts';

const heartbeatMs = 15_000;
const recheckMs = 30_000;
const batch = 500;

export const watchEvents: OpenService<typeof eventOperations.watch, Readable> = async (call, { query }) => {
  const projectIds = await eventProjectIds(call, query.project);
  const from = query.after ?? (await lastEventSeq(call.db));
  const gone = new AbortController();
  const stream = Readable.from(messages(call, query.project, projectIds, from, gone.signal), { objectMode: false });
  stream.once('close', () => gone.abort());
  return stream;
};

async function* messages(
  call: Call,
  project: string | undefined,
  allowed: readonly string[] | undefined,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { feed, clock } = call.env;
  let projectIds = allowed;
  let seq = from;
  let checkedAt = clock.now();
  yield ': Kvasir events\nretry: 1000\n\n';
  while (!signal.aborted && !feed.closed) {
    if (clock.now() - checkedAt >= recheckMs) {
      const actor = await call.reauthenticate();
      if (!actor) return;
      projectIds = await eventProjectIds({ ...call, actor }, project);
      checkedAt = clock.now();
    }
    const last = await lastEventSeq(call.db);
    const rows = await eventsAfter(call.db, seq, { limit: batch, projectIds });
    for (const row of rows) yield `id: ${row.seq}\ndata: ${JSON.stringify(eventView(row))}\n\n`;
    // What was committed up to `last` and did not come is not for this watcher.
    seq = rows.length === batch ? rows.at(-1)!.seq : Math.max(seq, last, rows.at(-1)?.seq ?? 0);
    if (rows.length > 0) continue;
    const before = clock.now();
    await feed.wait(seq, heartbeatMs, signal);
    if (clock.now() - before >= heartbeatMs) yield ': heartbeat\n\n';
  }
}
