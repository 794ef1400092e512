/**
 * Follows the event stream across lost connections. The one promise: each event comes once, in order of `seq`, without a
 * gap that nobody is told of. It holds because every connection resumes after the last event handed out or passed by, and
 * because "from now on" is first turned into a number: so events of the moment before the first connection stands are not
 * lost either.
 */
import { readEventStream } from './event-stream.ts';
import { KvasirError } from './errors.ts';
import type { Event, EventGap } from './resources/event.ts';

export interface EventSource {
  /** `seq` of the newest event, 0 when there is none. */
  latest(): Promise<number>;
  open(after: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** false: the error is an answer (logged out, forbidden) that trying again would not change. */
  mayRetry(error: unknown): boolean;
}

const firstDelayMs = 200;
const longestDelayMs = 5_000;
/** A connection without even a heartbeat for so long is given up: the other end may be gone without a word. */
const silenceMs = 60_000;

export async function* followEvents(
  options: {
    readonly after?: number;
    readonly signal?: AbortSignal;
    readonly onReconnect?: (cause: Error) => void;
    /** Left out: a gap ends it. */
    readonly onGap?: (gap: EventGap) => void;
  },
  source: EventSource,
): AsyncGenerator<Event> {
  const ended = options.signal ?? new AbortController().signal;
  let after = options.after ?? (await source.latest());
  let everConnected = false;
  let delayMs = firstDelayMs;
  while (!ended.aborted) {
    // Aborted also when the consumer stops early, so that no connection stays behind.
    const connection = new AbortController();
    let lost: Error;
    try {
      const body = await source.open(after, AbortSignal.any([ended, connection.signal]));
      everConnected = true;
      for await (const message of readEventStream(watchSilence(body, connection))) {
        delayMs = firstDelayMs;
        if (message.data === '') {
          after = Math.max(after, Number(message.id) || 0);
          continue;
        }
        if (message.event === 'gap') {
          const gap = JSON.parse(message.data) as EventGap;
          if (options.onGap === undefined) throw missing(gap);
          options.onGap(gap);
          after = gap.next - 1;
          continue;
        }
        const event = JSON.parse(message.data) as Event;
        if (!(event.seq > after)) continue;
        after = event.seq;
        yield event;
      }
      lost = new Error('the server ended the stream');
    } catch (error) {
      if (ended.aborted) return;
      if (!everConnected || !source.mayRetry(error)) throw error;
      lost = error instanceof Error ? error : new Error(String(error));
    } finally {
      connection.abort();
    }
    if (ended.aborted) return;
    options.onReconnect?.(lost);
    await pause(delayMs * (0.5 + Math.random() / 2), ended);
    delayMs = Math.min(delayMs * 2, longestDelayMs);
  }
}

function missing({ after, next }: EventGap): KvasirError {
  const reason =
    next > after ? `the events ${after + 1} to ${next - 1} are no longer kept` : `there is no event ${after}`;
  return new KvasirError('invalid-request', { reason });
}

async function* watchSilence(body: AsyncIterable<Uint8Array>, connection: AbortController) {
  const giveUp = () => connection.abort(new Error(`nothing came for ${silenceMs / 1000} s`));
  let timer = setTimeout(giveUp, silenceMs);
  try {
    for await (const chunk of body) {
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(giveUp, silenceMs);
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
