/** A link over a WebSocket. Knows the form of the `ws` library's sockets only by shape, so that the contract needs no dependency. */
import type { Link, LinkReceiver } from './link.ts';

interface WebSocketLike {
  readonly readyState: number;
  send(data: string | Uint8Array, done?: (error?: Error | null) => void): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

const open = 1;
const normalClosure = 1000;
/** A peer that does not answer our close is cut off. */
const closeWithinMs = 2000;
/** What the other side may send us in one message. A host's whole inventory is far below. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** The socket must be open, give binary data as Buffers (`nodebuffer`), and have given nothing yet. */
export function websocketLink(socket: WebSocketLike): Link {
  let receiver: LinkReceiver | null = null;
  let failure: string | null = null;
  const early: (() => void)[] = [];
  const deliver = (work: () => void): void => {
    if (receiver === null) early.push(work);
    else work();
  };
  socket.on('message', (data, isBinary) =>
    deliver(() => {
      if (isBinary) receiver!.bytes(data as Buffer);
      else receiver!.text(String(data));
    }),
  );
  socket.on('error', (error) => {
    failure = error.message;
  });
  socket.on('close', (code, reason) =>
    deliver(() =>
      receiver!.closed(failure ?? (reason.length > 0 ? reason.toString('utf8') : `closed with code ${code}`)),
    ),
  );
  return {
    attach: (newReceiver) => {
      receiver = newReceiver;
      for (const work of early.splice(0)) work();
    },
    sendText: (message) => {
      if (socket.readyState === open) socket.send(message);
    },
    sendBytes: (message, flushed) => {
      if (socket.readyState === open) socket.send(message, () => flushed());
      else flushed();
    },
    close: (reason) => {
      if (socket.readyState === open) socket.close(normalClosure, reason.slice(0, 100));
      else socket.terminate();
      setTimeout(() => socket.terminate(), closeWithinMs).unref();
    },
  };
}
