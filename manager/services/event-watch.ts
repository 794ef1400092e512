/**
 * One watcher's stream of server-sent events: everything it may see after the number it has, in order, once. Events are not kept
 * for ever: where some after that number are gone, the stream says so (`event: gap`) and goes on with the oldest that is kept.
 * Heartbeats carry the number up to which the watcher is, so that one that sees little does not fall behind what is kept. The
 * credential and the projects are looked at again now and then, so that a revoked role ends what is shown.
 */
import { Readable } from 'node:stream';
import type { EventGap, eventOperations } from '@kvasir/api/resources/event.ts';
import type { Executor } from '../store/database.ts';
import { eventsAfter, lastEventSeq } from '../store/events.ts';
import { oldestEvents } from '../store/pruning.ts';
import type { Call, OpenService } from './call.ts';
import { eventProjectIds, eventView } from './events.ts';
import { hiddenHosts } from './host-names.ts';

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
  let { actor } = call;
  let projectIds = allowed;
  let seq = from;
  let checkedAt = clock.now();
  let saidAt = clock.now();
  yield ': Kvasir events\nretry: 1000\n\n';
  while (!signal.aborted && !feed.closed) {
    if (clock.now() - checkedAt >= recheckMs) {
      actor = await call.reauthenticate();
      if (!actor) return;
      projectIds = await eventProjectIds({ ...call, actor }, project);
      checkedAt = clock.now();
    }
    const last = await lastEventSeq(call.db);
    const rows = await eventsAfter(call.db, seq, { limit: batch, projectIds });
    // After the rows: what is kept by now was kept when they were read.
    const next = await nextAfter(call.db, seq, last);
    if (next !== seq + 1 && seq > 0) {
      const gap: EventGap = { after: seq, next };
      yield `id: ${next - 1}\nevent: gap\ndata: ${JSON.stringify(gap)}\n\n`;
      seq = next - 1;
      continue;
    }
    const hidden = rows.length === 0 ? undefined : await hiddenHosts(call.db, actor);
    for (const row of rows)
      yield `id: ${row.seq}\ndata: ${JSON.stringify(hidden?.answer(eventView(row)) ?? eventView(row))}\n\n`;
    // What was committed up to `last` and did not come is not for this watcher.
    seq = rows.length === batch ? rows.at(-1)!.seq : Math.max(seq, last, rows.at(-1)?.seq ?? 0);
    const quietMs = Math.abs(clock.now() - saidAt);
    if (rows.length === 0 && quietMs < heartbeatMs) {
      await feed.wait(seq, heartbeatMs - quietMs, signal);
      continue;
    }
    if (rows.length === 0) yield `: heartbeat\nid: ${seq}\n\n`;
    saidAt = clock.now();
  }
}

/** The number with which to go on after `seq`; another than the next one: those between are gone, or numbers began anew. */
async function nextAfter(db: Executor, seq: number, last: number): Promise<number> {
  if (seq > last) return last + 1;
  const [oldest] = await oldestEvents(db, 1);
  return Math.max(seq + 1, oldest?.seq ?? last + 1);
}
