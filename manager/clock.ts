/**
 * The seams to the world's time and chance. Nothing else in the manager calls Date.now, setTimeout, setInterval or a random
 * source, so that the simulation can run the same manager on a virtual clock with a seed.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** UTC milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted earlier. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `work` once after `ms`; the answer cancels it. Does not keep the process alive. */
  after(ms: number, work: () => void): () => void;
}

export interface Ids {
  /** A random UUID in lower case. */
  uuid(): string;
  /** A secret of `bytes` random bytes, base64url. */
  token(bytes: number): string;
  /** A number in [0, 1), for jitter only. */
  fraction(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, { signal });
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export const systemIds: Ids = {
  uuid: () => randomUUID(),
  token: (bytes) => randomBytes(bytes).toString('base64url'),
  fraction: () => randomBytes(4).readUInt32LE() / 2 ** 32,
};
