/**
 * A call that is under way when its host is proven dead is given up: a link to a machine without power looks well for a long time.
 * What is given up is not sent again either, should the host be back before the link has ended.
 */
import type { Clock } from '@kvasir/api/clock.ts';

const lookEveryMs = 1000;

export interface DeathWatch {
  readonly clock: Clock;
  readonly isDead: () => Promise<boolean>;
  /** Nobody waits for the call any more: it goes on at its host, and so does this. */
  readonly stopped: AbortSignal;
}

/** @throws what the call throws, or what `lost` makes once the host is dead; then the signal that the call got is aborted */
export async function unlessItDies<T>(
  { clock, isDead, stopped }: DeathWatch,
  call: (given: AbortSignal) => Promise<T>,
  lost: () => Error,
): Promise<T> {
  const over = new AbortController();
  const ended = AbortSignal.any([over.signal, stopped]);
  const death = async (): Promise<never> => {
    while (await paused(clock, ended)) {
      // Not to be known at the moment is not dead.
      if (await isDead().catch(() => false)) throw lost();
    }
    return await new Promise<never>(() => {});
  };
  const died = death();
  died.catch(() => {});
  try {
    return await Promise.race([call(over.signal), died]);
  } finally {
    over.abort();
  }
}

async function paused(clock: Clock, ended: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(lookEveryMs, ended);
    return !ended.aborted;
  } catch {
    return false;
  }
}
