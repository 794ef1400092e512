/** How a simulated guest takes the wish that it shut itself down. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { SimHost } from './host.ts';

/** True when the guest shut itself down in time. Errors: `cancelled`. */
export async function pressPowerButton(host: SimHost, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const { guests, world } = host;
  const obeys = guests.obeysShutdown && guests.shutdownMs <= timeoutMs && timeoutMs > 0;
  const waitMs = obeys ? guests.shutdownMs : timeoutMs;
  try {
    signal.throwIfAborted();
    if (waitMs > 0) await world.clock.sleep(waitMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    if (signal.reason !== 'force') throw new KvasirError('cancelled');
    return false;
  }
  return obeys;
}
