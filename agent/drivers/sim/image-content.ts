/** What the simulated storage makes of an image's bytes: as much of the inspection as a header tells. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ImageInfo } from '@kvasir/api/agent/storage.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { ImageImport, LongCall } from '../storage.ts';

const qcow2Magic = 0x51_46_49_fb;
const headerBytes = 104;

/** The smallest thing that passes as a qcow2 image here; for simulated imports and uploads. */
export function simImage(virtualSizeBytes: number): Buffer {
  const header = Buffer.alloc(512);
  header.writeUInt32BE(qcow2Magic, 0);
  header.writeUInt32BE(3, 4);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(virtualSizeBytes), 24);
  header.writeUInt32BE(headerBytes, 100);
  return header;
}

/** Errors: `bad-image`. */
export function inspectContent(
  content: Buffer,
  limits: Pick<ImageImport, 'maxVirtualSizeBytes' | 'expectedSha256'>,
): ImageInfo {
  const sha256 = createHash('sha256').update(content).digest('hex');
  if (limits.expectedSha256 !== null && limits.expectedSha256.toLowerCase() !== sha256) {
    throw bad(`its SHA-256 is ${sha256}, not ${limits.expectedSha256}`);
  }
  const isQcow2 = content.length >= 4 && content.readUInt32BE(0) === qcow2Magic;
  const virtualSizeBytes = isQcow2 ? qcow2Size(content) : rawSize(content);
  if (limits.maxVirtualSizeBytes !== null && virtualSizeBytes > limits.maxVirtualSizeBytes) {
    throw bad(`its virtual size of ${virtualSizeBytes} bytes is larger than the ${limits.maxVirtualSizeBytes} allowed`);
  }
  return { format: isQcow2 ? 'qcow2' : 'raw', virtualSizeBytes, sizeBytes: content.length, sha256 };
}

/** Errors: `bad-image` when more or less than `sizeBytes` comes, `cancelled`. */
export async function readAll(content: Readable, sizeBytes: number, call: LongCall): Promise<Buffer> {
  const cancel = () => content.destroy(new KvasirError('cancelled'));
  call.signal.addEventListener('abort', cancel, { once: true });
  const parts: Buffer[] = [];
  let done = 0;
  try {
    for await (const part of content) {
      parts.push(part as Buffer);
      done += (part as Buffer).length;
      if (done > sizeBytes) throw bad(`more than the announced ${sizeBytes} bytes came`);
      const percent = Math.floor((done / sizeBytes) * 100);
      call.progress({ percent, bytesDone: done, bytesTotal: sizeBytes });
    }
  } finally {
    call.signal.removeEventListener('abort', cancel);
    content.destroy();
  }
  if (done < sizeBytes) throw bad(`only ${done} of ${sizeBytes} bytes came`);
  return Buffer.concat(parts);
}

function qcow2Size(content: Buffer): number {
  if (content.length < headerBytes) throw bad('its header is cut off');
  if (content.readBigUInt64BE(8) !== 0n) throw bad('it has a backing file');
  if (content.readUInt32BE(32) !== 0) throw bad('it is encrypted');
  if (content.readUInt32BE(60) !== 0) throw bad('it has snapshots inside');
  return Number(content.readBigUInt64BE(24));
}

function rawSize(content: Buffer): number {
  if (content.length === 0 || content.length % 512 !== 0) throw bad('it is no disk image');
  return content.length;
}

function bad(reason: string): KvasirError {
  return new KvasirError('bad-image', { reason });
}
