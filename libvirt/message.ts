/**
 * The frame around every message: a length word (which counts itself), then program, version, procedure, type, serial and
 * status, then the body.
 *
 * Invariant: a length outside the limits is refused before anything is buffered for it; bytes of a message are copied at
 * most once, however the socket cuts them up.
 */
import { XdrError } from './xdr.ts';

export const messageType = { call: 0, reply: 1, event: 2, stream: 3 } as const;
export const messageStatus = { ok: 0, error: 1, more: 2 } as const;

const headerBytes = 28;
/** libvirt's own limit for a message, length word included. */
export const maxMessageBytes = 32 * 1024 * 1024 + 4;
/** The most data in one stream message: what every libvirt since 0.9 accepts. */
export const maxStreamBytes = 256 * 1024 - 24;

export interface MessageHeader {
  readonly program: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
}

export interface Message extends MessageHeader {
  readonly body: Buffer;
}

export function frame(header: MessageHeader, body: Uint8Array): Buffer {
  const length = headerBytes + body.length;
  if (length > maxMessageBytes) throw new XdrError(`a message of ${length} bytes is too large`);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(header.program, 4);
  bytes.writeUInt32BE(1, 8);
  bytes.writeInt32BE(header.procedure, 12);
  bytes.writeInt32BE(header.type, 16);
  bytes.writeUInt32BE(header.serial, 20);
  bytes.writeInt32BE(header.status, 24);
  bytes.set(body, headerBytes);
  return bytes;
}

function parse(bytes: Buffer): Message {
  const version = bytes.readUInt32BE(8);
  if (version !== 1) throw new XdrError(`unknown protocol version ${version}`);
  return {
    program: bytes.readUInt32BE(4),
    procedure: bytes.readInt32BE(12),
    type: bytes.readInt32BE(16),
    serial: bytes.readUInt32BE(20),
    status: bytes.readInt32BE(24),
    body: bytes.subarray(headerBytes),
  };
}

export class MessageReader {
  #chunks: Buffer[] = [];
  #buffered = 0;

  /** The messages that this chunk completes, in order. Throws XdrError on a frame that cannot be libvirt's. */
  *push(chunk: Buffer): Generator<Message> {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    while (this.#buffered >= 4) {
      const length = this.#front(4).readUInt32BE(0);
      if (length < headerBytes || length > maxMessageBytes) throw new XdrError(`a message of ${length} bytes`);
      if (this.#buffered < length) return;
      const bytes = this.#front(length).subarray(0, length);
      this.#drop(length);
      yield parse(bytes);
    }
  }

  /** Makes the first chunk hold at least so many bytes, which are known to be there. */
  #front(size: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= size) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #drop(size: number): void {
    const rest = this.#chunks[0]?.subarray(size);
    if (rest === undefined || rest.length === 0) this.#chunks.shift();
    else this.#chunks[0] = rest;
    this.#buffered -= size;
  }
}
