/**
 * A host's operating system is shut down by the power button, as an administrator would: its file systems are written out and its
 * services end in order. It may hang, so nobody relies on it.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { byAnyDevice } from './host-power.ts';
import type { StepContext } from './kind.ts';

type Seams = Pick<StepContext<unknown>, 'db' | 'power' | 'clock' | 'signal'>;

const lookEveryMs = 1000;
/** The agent of a system that shuts down falls silent well before. */
const agentSilentWithinMs = 15_000;
/** One that is not off by then hangs: with its agent gone nothing can have begun there. */
const offWithinMs = 30_000;

/**
 * Answers whether the host shut down. Nobody waits for it any more once `check`, which is called again and again meanwhile, throws:
 * then that is thrown, and the host may be shutting down or not.
 */
export async function shutDownHost(
  { db, power, clock, signal }: Seams,
  host: HostRow,
  check: () => Promise<void>,
): Promise<boolean> {
  const given = new AbortController();
  const either = AbortSignal.any([signal, given.signal]);
  let ended = false;
  const work = byAnyDevice(db, host, 'shut down', (id) => power.shutDown(id, either))
    .then(
      () => true,
      (error: unknown) => {
        if (!either.aborted && error instanceof KvasirError && error.code === 'fencing-failed') return false;
        throw error;
      },
    )
    .finally(() => (ended = true));
  const watch = (async () => {
    for (;;) {
      await clock.sleep(lookEveryMs, signal);
      if (ended) return await work;
      await check();
    }
  })();
  try {
    return await Promise.race([work, watch]);
  } catch (error) {
    given.abort(error);
    await Promise.allSettled([work]);
    signal.throwIfAborted();
    throw error;
  }
}

/**
 * For a host that may be shutting down, and is needed: it cannot be switched on before it is off. Waits for that, or until it looks as
 * if it stays on; one that hangs on its way has its power cut.
 * @throws KvasirError fencing-failed when no device says what the power is
 */
export async function offOrStaying({ db, power, clock, signal }: Seams, host: HostRow): Promise<void> {
  const beganMs = clock.now();
  for (;;) {
    const { reading } = await byAnyDevice(db, host, 'read', (id) => power.powerState(id, signal));
    const isHeard = (await hosts.get(db, host.id)).state === 'up';
    const waitedMs = clock.now() - beganMs;
    if (reading.state === 'off' || (isHeard && waitedMs >= agentSilentWithinMs)) return;
    if (!isHeard && waitedMs >= offWithinMs) {
      await byAnyDevice(db, host, 'switched off', (id) => power.powerOff(id, signal));
      return;
    }
    await clock.sleep(lookEveryMs, signal);
  }
}
