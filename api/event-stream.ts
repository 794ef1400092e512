/**
 * Reads server-sent events (the WHATWG event stream format) from a body of bytes. Owns the format alone: reconnecting
 * and the meaning of a message are the client's business. A block that the stream's end cuts off is dropped, as the
 * format demands: it will come again after a reconnect.
 */

export interface StreamMessage {
  /** Last `id` seen so far, also from blocks without data. */
  readonly id: string | undefined;
  readonly event: string;
  /** Empty for a block that only sets the id. */
  readonly data: string;
}

/** Yields each block that ends with a blank line; comments (heartbeats) yield nothing. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamMessage> {
  const decoder = new TextDecoder();
  let rest = '';
  let id: string | undefined;
  let event = '';
  let data: string[] = [];
  let idChanged = false;
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    // A lone \r at the end may be the first half of \r\n: it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0 || idChanged) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
        event = '';
        data = [];
        idChanged = false;
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') data.push(value);
      else if (field === 'event') event = value;
      else if (field === 'id' && !value.includes('\0')) {
        id = value;
        idChanged = true;
      }
    }
  }
}
