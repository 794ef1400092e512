/**
 * Cuts a byte stream into JSON objects. RFC 7047 frames nothing: messages follow each other, so the end of one is found by
 * counting braces outside strings. Works on bytes: in UTF-8 no byte of a longer character looks like a brace or a quote, so
 * a character that is split over two chunks is never decoded in halves.
 */
const quote = 0x22;
const backslash = 0x5c;
const open = 0x7b;
const close = 0x7d;

/** More than any database answer of a host; a peer that sends more is broken. */
const defaultLimitBytes = 256 * 1024 * 1024;

export class JsonStream {
  readonly #limitBytes: number;
  /** Chunks of the message that is still incomplete. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(limitBytes: number = defaultLimitBytes) {
    this.#limitBytes = limitBytes;
  }

  /** Answers the messages that this chunk completes. Throws `SyntaxError` on what is not a stream of JSON objects. */
  push(chunk: Buffer): unknown[] {
    const messages: unknown[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inString = false;
      } else if (byte === quote) {
        if (this.#depth === 0) throw new SyntaxError('a string outside a JSON object');
        this.#inString = true;
      } else if (byte === open) this.#depth++;
      else if (byte === close) {
        if (this.#depth === 0) throw new SyntaxError('a brace closes nothing');
        if (--this.#depth > 0) continue;
        messages.push(this.#finish(chunk.subarray(start, at + 1)));
        start = at + 1;
      }
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return messages;
  }

  #keep(part: Buffer): void {
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes > this.#limitBytes) throw new SyntaxError(`a message is longer than ${this.#limitBytes} bytes`);
  }

  #finish(last: Buffer): unknown {
    this.#keep(last);
    const whole = this.#parts.length === 1 ? last : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return JSON.parse(whole.toString('utf8'));
  }
}
