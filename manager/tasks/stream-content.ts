/** Sends content to an agent while the call that reads it runs; whichever fails first ends the other. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LinkClosedError } from '@kvasir/api/agent/wire/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { StepContext } from './kind.ts';
import { requireLivingHost } from './proven-dead.ts';

/** @throws what `start` throws; host-unreachable when the content broke off because a link did */
export async function whileSending<P, T>(
  { db, hosts, signal }: StepContext<P>,
  hostId: string,
  content: Readable,
  start: (streamId: number) => Promise<T>,
): Promise<T> {
  let broken: Error | undefined;
  content.once('error', (error) => {
    broken = error;
  });
  try {
    await requireLivingHost(db, hostId, {});
    const { streamId, content: sink } = await hosts.openStream(hostId);
    const sending = pipeline(content, sink, { signal });
    // The call tells why it failed; a stream that broke with it has nothing to add.
    sending.catch(() => {});
    try {
      return await start(streamId);
    } finally {
      sink.destroy();
    }
  } catch (error) {
    // The reader only sees too few bytes; the reason is at this end.
    if (broken instanceof LinkClosedError) throw new KvasirError('host-unreachable', { host: hostId });
    throw error;
  } finally {
    content.destroy();
  }
}
