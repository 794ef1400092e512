/**
 * All writes of this process, one after the other, in the order of asking. Those that wait go into the database's
 * transaction of the first one, each within a savepoint of its own, so that one commit (one sync to disk, the dearest part
 * of a small write) serves all of them.
 *
 * Invariants: each sees all that was asked before it; one that fails takes back only its own; nobody hears of success before
 * the common commit is on disk, and when that fails, everybody hears of it. Between two the event loop gets its turn: a
 * long queue must not keep sockets and timers waiting.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { sql } from 'kysely';
import type { Tx } from './database.ts';

/** Runs a function within one database transaction: commits what it did, or nothing when it throws. */
export type Transact = (work: (tx: Tx) => Promise<void>) => Promise<void>;

interface Write {
  readonly work: (tx: Tx) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const writesPerCommit = 32;
const attempts = 5;
const insideWrite = new AsyncLocalStorage<true>();

export class WriterQueue {
  readonly #transact: Transact;
  readonly #committed: () => void;
  readonly #waiting: Write[] = [];
  #running = false;

  /** `committed` is called for each write that was committed. */
  constructor(transact: Transact, committed: () => void) {
    this.#transact = transact;
    this.#committed = committed;
  }

  /** Throws what `work` throws, or why the commit failed. */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (insideWrite.getStore()) throw new Error('A transaction within a transaction would wait for itself');
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
    if (!this.#running) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      await this.#commitTogether();
      await turnOfTheLoop();
    }
    this.#running = false;
  }

  async #commitTogether(): Promise<void> {
    const taken: Write[] = [];
    for (let attempt = 1; ; attempt += 1) {
      let ends: (() => boolean)[] = [];
      try {
        await this.#transact(async (tx) => {
          ends = [];
          // Those of an attempt before come first, in their order.
          for (let at = 0; at < writesPerCommit; at += 1) {
            const write = taken[at] ?? this.#waiting.shift();
            if (write === undefined) break;
            taken[at] = write;
            if (at > 0) await turnOfTheLoop();
            ends.push(await endOf(tx, write));
          }
        });
      } catch (error) {
        if (attempt < attempts && isSerializationFailure(error)) continue;
        // When it did not even begin, the first one hears of it.
        for (const write of taken.length > 0 ? taken : this.#waiting.splice(0, 1)) write.reject(error);
        return;
      }
      for (const end of ends) if (end()) this.#committed();
      return;
    }
  }
}

/** Does one write and answers how to tell its end once the commit is there; that answers whether it wrote. */
async function endOf(tx: Tx, { work, resolve, reject }: Write): Promise<() => boolean> {
  await sql`savepoint one_write`.execute(tx);
  try {
    const value = await insideWrite.run(true, () => work(tx));
    await sql`release savepoint one_write`.execute(tx);
    return () => {
      resolve(value);
      return true;
    };
  } catch (error) {
    if (isSerializationFailure(error)) throw error;
    await sql`rollback to savepoint one_write`.execute(tx);
    await sql`release savepoint one_write`.execute(tx);
    return () => {
      reject(error);
      return false;
    };
  }
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isSerializationFailure(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === '40001' || code === '40P01';
}
