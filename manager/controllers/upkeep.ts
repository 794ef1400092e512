/** What the leader looks after once a minute: the trash, uploads that nobody finishes, sessions and keys that have expired. */
import type { Environment } from '../services/call.ts';
import { tidyUploads } from '../services/uploads.ts';
import { removeExpiredIdempotencyKeys } from '../store/idempotency-keys.ts';
import { removeExpiredSessions } from '../store/sessions.ts';
import { emptyTrash } from './trash.ts';

const everyMs = 60_000;

export class Upkeep {
  readonly #env: Environment;
  readonly #log: (message: string, details: Readonly<Record<string, unknown>>) => void;
  #stop: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(env: Environment, log: (message: string, details: Readonly<Record<string, unknown>>) => void) {
    this.#env = env;
    this.#log = log;
  }

  start(): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#loop = this.#loop.then(() => this.#run(stop.signal));
  }

  async stop(): Promise<void> {
    this.#stop?.abort(new Error('The manager no longer leads'));
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#once();
      } catch (error) {
        this.#log('The upkeep failed; it comes again', { error });
      }
      try {
        await this.#env.clock.sleep(everyMs, signal);
      } catch {
        return;
      }
    }
  }

  async #once(): Promise<void> {
    const { store, clock } = this.#env;
    await emptyTrash(this.#env);
    await tidyUploads(this.#env);
    await store.transaction(async (tx) => {
      await removeExpiredSessions(tx, clock.now());
      await removeExpiredIdempotencyKeys(tx, clock.now());
    });
  }
}
