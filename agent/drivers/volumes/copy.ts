/** Copies a stream into a file: counts and digests every byte, and leaves holes where there are only zeros. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LongCall } from '../storage.ts';

/** Holes are made in steps of this size. */
const blockBytes = 64 * 1024;
const zeros = Buffer.alloc(blockBytes);

/** Writes `content` to `file` from its start. Errors: `bad-image` when it is longer than `limitBytes`, `cancelled`. */
export async function copySparsely(
  content: Readable,
  file: FileHandle,
  expectedBytes: number,
  call: LongCall,
): Promise<{ sizeBytes: number; sha256: string }> {
  const digest = createHash('sha256');
  let at = 0;
  const report = progressReporter(expectedBytes, call);
  const cancel = () => content.destroy(new KvasirError('cancelled'));
  if (call.signal.aborted) cancel();
  call.signal.addEventListener('abort', cancel, { once: true });
  try {
    for await (const chunk of content) {
      const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array);
      if (at + bytes.length > expectedBytes) {
        throw new KvasirError('bad-image', { reason: `more than the announced ${expectedBytes} bytes came` });
      }
      digest.update(bytes);
      await writeSparsely(file, bytes, at);
      at += bytes.length;
      report(at);
    }
  } finally {
    call.signal.removeEventListener('abort', cancel);
  }
  if (at < expectedBytes) {
    throw new KvasirError('bad-image', { reason: `only ${at} of ${expectedBytes} bytes came` });
  }
  await file.truncate(at);
  return { sizeBytes: at, sha256: digest.digest('hex') };
}

/** Reads a file again for its digest. */
export async function digestOf(content: Readable): Promise<string> {
  const digest = createHash('sha256');
  for await (const chunk of content) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

async function writeSparsely(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let from = 0;
  while (from < bytes.length) {
    const to = Math.min(from + blockBytes, bytes.length);
    const part = bytes.subarray(from, to);
    if (!part.equals(zeros.subarray(0, part.length))) await writeAll(file, part, at + from);
    from = to;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

/** Tells each whole percent once. */
function progressReporter(total: number, call: LongCall): (done: number) => void {
  let told = -1;
  return (done) => {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
    if (percent === told) return;
    told = percent;
    call.progress({ percent, bytesDone: done, bytesTotal: total });
  };
}
