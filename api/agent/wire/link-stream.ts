/**
 * One byte stream on a link, as a Node Duplex. Owns its two windows.
 *
 * Invariants: never sends more than the other side granted, never holds more than its own window plus one read buffer; a
 * stream ends by `end` from both sides or by one `abort`. What is written is cut into frames; each write is done when its
 * last frame left the link's buffer, so that a slow link slows the writer and heartbeats are never far back in the queue.
 */
import { Duplex } from 'node:stream';
import { frameKind, initialWindowBytes, maxFramePayloadBytes } from '../link.ts';
import { encodeFrame, encodeWindow, type Frame } from './frame.ts';
import { LinkClosedError } from './link.ts';

type Done = (error?: Error | null) => void;
export type SendFrame = (message: Buffer, flushed: () => void) => void;

export class StreamAbortedError extends Error {
  constructor(reason: string) {
    super(reason === '' ? 'The other side gave the stream up' : `The other side gave the stream up: ${reason}`);
    this.name = 'StreamAbortedError';
  }
}

const maxReasonLength = 500;

export class LinkStream extends Duplex {
  readonly id: number;
  readonly #send: SendFrame;
  /** Bytes that the other side still takes. */
  #credit = initialWindowBytes;
  /** Bytes that the other side may still send. */
  #allowance = initialWindowBytes;
  #waiting: { rest: Buffer; done: Done } | null = null;
  #sentEnd = false;
  #gotEnd = false;
  #silent = false;

  constructor(id: number, send: SendFrame) {
    super({ readableHighWaterMark: maxFramePayloadBytes, writableHighWaterMark: maxFramePayloadBytes });
    this.id = id;
    this.#send = send;
    // A stream that nobody listens to any more must not end the process when it breaks.
    this.on('error', () => {});
  }

  /** Takes a frame of this stream; answers what is wrong with it. */
  receive(frame: Frame): string | undefined {
    switch (frame.kind) {
      case frameKind.data:
        if (this.#gotEnd) return `data after the end of stream ${this.id}`;
        if (frame.payload.byteLength > this.#allowance) return `more data than stream ${this.id} may send`;
        this.#allowance -= frame.payload.byteLength;
        if (frame.payload.byteLength > 0) this.push(frame.payload);
        return undefined;
      case frameKind.end:
        this.#gotEnd = true;
        this.push(null);
        return undefined;
      case frameKind.abort:
        this.#silent = true;
        this.destroy(new StreamAbortedError(frame.payload.toString('utf8').slice(0, maxReasonLength)));
        return undefined;
      case frameKind.window:
        this.#credit += frame.payload.readUInt32BE(0);
        if (this.#credit > 2 ** 32) return `a window of ${this.#credit} bytes`;
        this.#continue();
        return undefined;
    }
  }

  /** The link is gone: nothing can be said to the other side. */
  cut(reason: string): void {
    this.#silent = true;
    this.destroy(new LinkClosedError(reason));
  }

  override _read(): void {
    if (this.#gotEnd || this.destroyed) return;
    // Grant in large steps: half a window at least, so that small frames do not each cost a grant.
    const used = initialWindowBytes - this.#allowance;
    if (used < initialWindowBytes / 2) return;
    this.#allowance = initialWindowBytes;
    this.#send(encodeWindow(this.id, used), () => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#waiting = { rest: chunk, done };
    this.#continue();
  }

  #continue(): void {
    const waiting = this.#waiting;
    if (waiting === null || this.#credit === 0) return;
    const bytes = Math.min(waiting.rest.byteLength, this.#credit, maxFramePayloadBytes);
    this.#credit -= bytes;
    this.#waiting = null;
    const rest = waiting.rest.subarray(bytes);
    this.#send(encodeFrame(this.id, frameKind.data, waiting.rest.subarray(0, bytes)), () => {
      if (rest.byteLength === 0 || this.destroyed) {
        waiting.done();
        return;
      }
      this.#waiting = { rest, done: waiting.done };
      this.#continue();
    });
  }

  override _final(done: Done): void {
    this.#sentEnd = true;
    this.#send(encodeFrame(this.id, frameKind.end, Buffer.alloc(0)), () => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    const finished = this.#sentEnd && this.#gotEnd;
    if (!finished && !this.#silent) {
      const reason = Buffer.from((error?.message ?? '').slice(0, maxReasonLength));
      this.#send(encodeFrame(this.id, frameKind.abort, reason), () => {});
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.done(error ?? new LinkClosedError('the stream was destroyed'));
    done(error);
  }
}
