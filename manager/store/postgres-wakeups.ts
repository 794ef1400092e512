/**
 * Managers of one PostgreSQL database wake each other: every commit notifies, and who listens looks at the tables sooner
 * than at its next poll. A notification carries nothing but whose it is, and nobody relies on one: while the
 * connection that listens is away, everybody still polls.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import { type RawBuilder, sql } from 'kysely';
import { Client } from 'pg';

const channel = 'kvasir_commit';
const shortestPauseMs = 500;
const longestPauseMs = 30_000;
const keepAliveMs = 10_000;

export interface WakeUpOptions {
  readonly url: string;
  readonly clock: Clock;
  /** Tells this process's own commits from those of others. */
  readonly sender: string;
  /** Another process committed; or may have while nobody listened. */
  readonly wake: () => void;
}

/** Part of a statement within a transaction: its commit wakes the others. */
export function notification(sender: string): RawBuilder<unknown> {
  return sql`pg_notify(${channel}, ${sender})`;
}

export class PostgresWakeUps {
  readonly #options: WakeUpOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  /** Begins to listen. */
  constructor(options: WakeUpOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('The database is closed'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    let pauseMs = shortestPauseMs;
    while (!signal.aborted) {
      if (await this.#listen(signal)) pauseMs = shortestPauseMs;
      await clock.sleep(pauseMs, signal).catch(() => {});
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  /** Until the connection ends; answers whether there was one. */
  async #listen(signal: AbortSignal): Promise<boolean> {
    const { url, sender, wake } = this.#options;
    const client = new Client({
      connectionString: url,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
      application_name: 'kvasir wake-ups',
    });
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    client.on('error', () => end());
    client.on('end', () => end());
    client.on('notification', ({ payload }) => {
      if (payload !== sender) wake();
    });
    signal.addEventListener('abort', () => end(), { once: true });
    let listening = false;
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      listening = true;
      wake();
      if (!signal.aborted) await ended;
    } catch {
      // The database is away, or refuses: polling goes on, and so do the tries.
    }
    await client.end().catch(() => {});
    return listening;
  }
}
