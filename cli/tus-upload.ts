/** Sends one file to a tus address that exists already, from the byte that the server has, with retries on lost connections. */
import { createReadStream } from 'node:fs';
import { errorFromWire, type Problem } from '@kvasir/api/errors.ts';
import * as tus from 'tus-js-client';

export interface FileUpload {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  readonly onProgress: (sentBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

/** The server no longer knows this upload. */
export class UploadGoneError extends Error {
  constructor() {
    super('the manager no longer knows this upload');
    this.name = 'UploadGoneError';
  }
}

/** One request carries so much at most: what is lost with a broken proxy stays small. */
const chunkBytes = 32 * 1024 * 1024;

export function sendFile(upload: FileUpload): Promise<void> {
  return new Promise((resolve, reject) => {
    // Only its path is used: tus reads the parts it needs with streams of its own.
    const file = createReadStream(upload.path);
    const stop = () => {
      void running.abort().catch(() => {});
      settle(() => reject(new DOMException('interrupted', 'AbortError')));
    };
    const settle = (then: () => void) => {
      upload.signal.removeEventListener('abort', stop);
      file.destroy();
      then();
    };
    const options = {
      uploadUrl: upload.url.href,
      headers: { ...upload.headers },
      chunkSize: chunkBytes,
      retryDelays: [200, 500, 1000, 2000, 4000, 8000],
      storeFingerprintForResuming: false,
      onProgress: upload.onProgress,
      onSuccess: () => settle(resolve),
      onError: (error: Error) => settle(() => reject(explain(error))),
      onShouldRetry: (error: tus.DetailedError) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        return status === 0 || status === 409 || status === 423 || status >= 500;
      },
    };
    // The types know only browsers; in Node a read stream with a path is a file.
    const running = new tus.Upload(file, options);
    upload.signal.addEventListener('abort', stop);
    if (upload.signal.aborted) stop();
    else running.start();
  });
}

function explain(error: Error): Error {
  if (!(error instanceof tus.DetailedError)) return error;
  const status = error.originalResponse?.getStatus();
  if (status === 404 || status === 410) return new UploadGoneError();
  const text = error.originalResponse?.getBody() ?? '';
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    if (typeof problem.message === 'string') return errorFromWire(problem);
  } catch {
    // Not a problem document: said below.
  }
  if (status === undefined) return new Error('the upload broke off; run the same command again to go on with it');
  return new Error(`the upload was refused with HTTP ${status}${text === '' ? '' : `: ${text.trim().slice(0, 200)}`}`);
}
