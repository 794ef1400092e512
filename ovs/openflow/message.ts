/**
 * The frame of OpenFlow 1.4: an 8-byte header (version, type, length, transaction id) and a body. Here are the types that
 * we speak, and the cutting of a byte stream into messages.
 */
export const openFlow14 = 0x05;
export const headerLength = 8;
/** The length field has 16 bits. */
export const longestMessage = 0xffff;

export const messageType = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  experimenter: 4,
  featuresRequest: 5,
  featuresReply: 6,
  setConfig: 9,
  packetIn: 10,
  portStatus: 12,
  packetOut: 13,
  flowMod: 14,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  meterMod: 29,
  bundleControl: 33,
  bundleAdd: 34,
} as const;

export const multipartType = { flow: 1, meterConfig: 10, portDescription: 13, flowMonitor: 16 } as const;

export const niciraVendor = 0x2320;

export interface Message {
  readonly version: number;
  readonly type: number;
  readonly xid: number;
  readonly body: Buffer;
}

export function encodeMessage(type: number, xid: number, body: Buffer): Buffer {
  const length = headerLength + body.length;
  if (length > longestMessage) throw new RangeError(`an OpenFlow message of ${length} bytes is too long`);
  const out = Buffer.alloc(length);
  out.writeUInt8(openFlow14, 0);
  out.writeUInt8(type, 1);
  out.writeUInt16BE(length, 2);
  out.writeUInt32BE(xid, 4);
  body.copy(out, headerLength);
  return out;
}

/** Fills up to a multiple of 8 bytes, as OpenFlow does nearly everywhere. */
export function padded(body: Buffer): Buffer {
  const missing = -body.length & 7;
  return missing === 0 ? body : Buffer.concat([body, Buffer.alloc(missing)]);
}

/** Type, length, value; the length counts everything, `value` is padded afterwards and the padding is not counted. */
export function property(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(4 + value.length, 2);
  return padded(Buffer.concat([head, value]));
}

/** Walks such a list; `step` rounds each length up to where the next entry begins. */
export function* entries(list: Buffer, align: 1 | 8): Generator<{ readonly type: number; readonly value: Buffer }> {
  let at = 0;
  while (list.length - at >= 4) {
    const length = list.readUInt16BE(at + 2);
    if (length < 4 || at + length > list.length) throw new RangeError('an OpenFlow list is cut off');
    yield { type: list.readUInt16BE(at), value: list.subarray(at + 4, at + length) };
    at += align === 8 ? (length + 7) & ~7 : length;
  }
}

/** Cuts a stream into messages. Keeps chunks as they came and joins them only when a message is whole. */
export class MessageStream {
  #chunks: Buffer[] = [];
  #length = 0;

  push(chunk: Buffer): Message[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < headerLength) return [];
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const messages: Message[] = [];
    let at = 0;
    while (bytes.length - at >= headerLength) {
      const length = bytes.readUInt16BE(at + 2);
      if (length < headerLength) throw new RangeError('an OpenFlow message is shorter than its header');
      if (bytes.length - at < length) break;
      messages.push({
        version: bytes.readUInt8(at),
        type: bytes.readUInt8(at + 1),
        xid: bytes.readUInt32BE(at + 4),
        body: bytes.subarray(at + headerLength, at + length),
      });
      at += length;
    }
    this.#chunks = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#length = bytes.length - at;
    return messages;
  }
}
