/**
 * The seam to time, shared by manager and agent, so that a simulation drives both with one virtual clock. Nothing in either
 * calls Date.now, setTimeout or setInterval elsewhere, but for the sockets and engines below a `Link` or a driver.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** UTC milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted earlier. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `work` once after `ms`; the answer cancels it. Does not keep the process alive. */
  after(ms: number, work: () => void): () => void;
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
