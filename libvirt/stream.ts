/**
 * A libvirt stream as a Node duplex: the bytes of a console, a channel or a screenshot.
 *
 * How it ends. The daemon says end of data with an empty packet; then, or when our side calls `end()`, we send *finish*
 * and the daemon confirms it. libvirt knows no half-open stream: finishing ends both directions. `destroy()` before that
 * sends *abort*. An error from the daemon, or the loss of the connection, destroys the stream with that error.
 *
 * Back-pressure. A slow reader pauses the socket, so a stream whose reader may be slow belongs on a connection of its own.
 */
import { Duplex } from 'node:stream';
import { LibvirtConnectionError } from './error.ts';
import { maxStreamBytes } from './message.ts';

/** What the stream asks of its connection. */
export interface StreamLink {
  data(chunk: Buffer, written: () => void): void;
  finish(): void;
  abort(): void;
  /** What still comes for this stream has no reader. */
  abandon(): void;
  pause(): void;
  resume(): void;
}

export class LibvirtStream extends Duplex {
  readonly #link: StreamLink;
  #endReceived = false;
  #finishSent = false;
  #over = false;
  #confirm: (() => void) | undefined;

  constructor(link: StreamLink) {
    super({ allowHalfOpen: false });
    this.#link = link;
    // The stream may fail before the awaiting caller can listen, and an unheard 'error' would end the process; pipeline(),
    // finished() and async iteration report it all the same.
    this.on('error', () => undefined);
  }

  /** For the connection: a packet of data; empty means end of data. */
  received(data: Buffer): void {
    if (this.destroyed) return;
    if (data.length === 0) {
      this.#endReceived = true;
      this.push(null);
      // allowHalfOpen closes our side only once the reader has seen the end, which a paused reader may never do.
      this.#sendFinish();
    } else if (!this.push(Buffer.from(data))) this.#link.pause();
  }

  /** For the connection: the daemon confirmed the finish, or finished by itself. */
  finished(): void {
    this.#over = true;
    if (!this.destroyed && !this.readableEnded) this.push(null);
    this.#confirm?.();
    if (!this.destroyed && !this.writableEnded) this.end();
  }

  /** For the connection: the daemon or the connection ended the stream. */
  failed(error: Error): void {
    this.#over = true;
    this.destroy(error);
  }

  #sendFinish(): void {
    if (this.#finishSent || this.#over) return;
    this.#finishSent = true;
    this.#link.finish();
  }

  override _read(): void {
    this.#link.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    // After a finish the daemon takes no more; what was typed into a console that just ended is dropped.
    if (this.#finishSent || this.#over) return callback();
    const rest = chunk.length > maxStreamBytes ? chunk.subarray(maxStreamBytes) : null;
    const next = (): void => (rest === null ? callback() : this._write(rest, _encoding, callback));
    this.#link.data(chunk.subarray(0, maxStreamBytes), next);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#sendFinish();
    if (this.#over) return callback();
    this.#confirm = () => callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#over) {
      if (this.#finishSent) this.#link.abandon();
      else this.#link.abort();
    }
    // A writer that waits for the confirmation must hear that none will come, unless all was over but for that.
    const unconfirmed = error === null && this.#confirm !== undefined && !this.#over && !this.#endReceived;
    this.#over = true;
    this.#link.resume();
    callback(
      unconfirmed ? new LibvirtConnectionError('STREAM_ABORTED', 'the stream was aborted', { sent: true }) : error,
    );
  }
}
