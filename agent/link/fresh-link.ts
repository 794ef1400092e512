/**
 * A link that delivers nothing old. What was sent into a cable that was cut arrives when the cable is mended, and an order to
 * start a VM may by then be an order for a VM that runs elsewhere. The manager answers every heartbeat, so its side of a link
 * is never quiet for long; a message that comes after more silence than that closes the link instead of being heard, and the
 * manager says what it still wants on the next one. It does not speak before it was spoken to: its silence begins with our first
 * message, however long a host takes to see what it has to say.
 */
import type { Link, LinkReceiver } from '@kvasir/api/agent/wire/link.ts';
import type { Clock } from '@kvasir/api/clock.ts';

export function freshLink(link: Link, clock: Clock, maxSilenceMs: number): Link {
  let heardMs: number | null = null;
  const isFresh = (): boolean => {
    const silentMs = clock.now() - (heardMs ?? clock.now());
    heardMs = clock.now();
    if (silentMs <= maxSilenceMs) return true;
    link.close(`the manager was silent for ${silentMs} ms: what comes now may be old`);
    return false;
  };
  let stale = false;
  const fresh = (deliver: () => void): void => {
    stale ||= !isFresh();
    if (!stale) deliver();
  };
  return {
    attach: (receiver: LinkReceiver) =>
      link.attach({
        text: (message) => fresh(() => receiver.text(message)),
        bytes: (message) => fresh(() => receiver.bytes(message)),
        closed: (reason) => receiver.closed(reason),
      }),
    sendText: (message) => {
      heardMs ??= clock.now();
      link.sendText(message);
    },
    sendBytes: (message, flushed) => link.sendBytes(message, flushed),
    close: (reason) => link.close(reason),
  };
}
