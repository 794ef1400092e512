/** The form of binary messages on the agent link: stream id (u32, big endian), kind (u8), payload. See ../link.ts. */
import { type FrameKind, frameKind, maxFramePayloadBytes } from '../link.ts';

export interface Frame {
  readonly streamId: number;
  readonly kind: FrameKind;
  /** For `window`: the u32 granted. For `abort`: a reason in UTF-8. */
  readonly payload: Buffer;
}

const headerBytes = 5;
const kinds: ReadonlySet<number> = new Set(Object.values(frameKind));

export function encodeFrame(streamId: number, kind: FrameKind, payload: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(headerBytes + payload.byteLength);
  message.writeUInt32BE(streamId, 0);
  message.writeUInt8(kind, 4);
  message.set(payload, headerBytes);
  return message;
}

export function encodeWindow(streamId: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes, 0);
  return encodeFrame(streamId, frameKind.window, payload);
}

/** Answers what is wrong, in words, for a message that is no frame. The payload shares the message's memory. */
export function decodeFrame(message: Buffer): Frame | string {
  if (message.byteLength < headerBytes) return 'a frame shorter than its header';
  const kind = message.readUInt8(4);
  if (!kinds.has(kind)) return `a frame of unknown kind ${kind}`;
  const payload = message.subarray(headerBytes);
  if (payload.byteLength > maxFramePayloadBytes) return `a frame of ${payload.byteLength} bytes`;
  if (kind === frameKind.window && payload.byteLength !== 4) return 'a window frame without its number';
  if (kind === frameKind.end && payload.byteLength !== 0) return 'an end frame with content';
  return { streamId: message.readUInt32BE(0), kind: kind as FrameKind, payload };
}
