/**
 * The seam below the agent link: something that carries whole text and binary messages both ways, in order. A WebSocket
 * in production (`websocket-link.ts`), a pair in memory for simulations and tests (`memory-link.ts`).
 */

/** Who receives from a link. `closed` comes once and last, whoever closed it. */
export interface LinkReceiver {
  text(message: string): void;
  bytes(message: Buffer): void;
  closed(reason: string): void;
}

export interface Link {
  /** Says who receives; messages that came earlier are kept until then. Called once. */
  attach(receiver: LinkReceiver): void;
  /** Does nothing on a closed link. */
  sendText(message: string): void;
  /** `flushed` is called when the message left our buffers (or the link closed): the pace for writers of much data. */
  sendBytes(message: Uint8Array, flushed: () => void): void;
  /** Closes in both directions; the receiver's `closed` follows. Does nothing on a closed link. */
  close(reason: string): void;
}

/** The timers that a link needs; both processes' clocks have them. */
export interface LinkClock {
  now(): number;
  /** Calls `work` once after `ms`; the answer cancels it. */
  after(ms: number, work: () => void): () => void;
}

/** A call or stream was cut because its link closed. Whether the other side did the work is unknown. */
export class LinkClosedError extends Error {
  constructor(reason: string) {
    super(`The link closed: ${reason}`);
    this.name = 'LinkClosedError';
  }
}
