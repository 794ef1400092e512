/**
 * Joins this terminal and a console's WebSocket. On a terminal every key goes to the guest, except Ctrl-] which leaves;
 * from a pipe every byte goes, and after its end the console is read on until it has been quiet for a moment.
 *
 * Takes the socket paused. Invariant: whatever happens, the terminal leaves raw mode and the socket is closed.
 */
import type { WebSocket } from 'ws';
import type { Surroundings } from './surroundings.ts';

export interface TerminalOptions {
  readonly name: string;
  /** Leave with success when the guest has said this. */
  readonly until?: string;
  /** Leave with failure after this time. */
  readonly timeoutMs?: number;
  /** How long a piped console must be quiet after the end of stdin; default 1 s. */
  readonly quietMs?: number;
}

const escapeKey = 0x1d;
/** Bytes that may wait in the socket before stdin is held back: a paste of a whole file stays bounded. */
const highWaterBytes = 256 * 1024;

export function attachTerminal(socket: WebSocket, options: TerminalOptions, around: Surroundings): Promise<void> {
  const { stdin, stdout, stderr } = around;
  const interactive = stdin.isTTY === true;
  if (interactive) stderr.write(`connected to ${options.name}; Ctrl-] leaves\n`);

  return new Promise<void>((resolve, reject) => {
    let ended = false;
    let quiet: NodeJS.Timeout | undefined;
    let tail = '';
    const timeout = options.timeoutMs && setTimeout(() => finish(timeoutError()), options.timeoutMs);

    const timeoutError = () =>
      new Error(
        options.until === undefined
          ? `the console was left after ${(options.timeoutMs ?? 0) / 1000} s`
          : `"${options.until}" did not appear within ${(options.timeoutMs ?? 0) / 1000} s`,
      );
    const finish = (error?: Error) => {
      if (ended) return;
      ended = true;
      clearTimeout(quiet);
      if (timeout) clearTimeout(timeout);
      around.interrupted.removeEventListener('abort', interrupt);
      stdin.off('data', send).off('end', sent);
      if (interactive) stdin.setRawMode?.(false);
      stdin.pause();
      socket.close();
      // A peer that never answers the close must not keep the program.
      const gone = setTimeout(() => socket.terminate(), 1000);
      socket.once('close', () => clearTimeout(gone));
      if (interactive) stderr.write('\r\nleft the console\r\n');
      if (error) reject(error);
      else resolve();
    };
    const interrupt = () => finish(new DOMException('interrupted', 'AbortError'));
    const waitQuiet = () => {
      if (options.until !== undefined) return;
      clearTimeout(quiet);
      quiet = setTimeout(() => finish(), options.quietMs ?? 1000);
    };
    const send = (chunk: Buffer | string) => {
      const bytes = Buffer.from(chunk as Buffer);
      const escape = interactive ? bytes.indexOf(escapeKey) : -1;
      const kept = escape < 0 ? bytes : bytes.subarray(0, escape);
      if (kept.length > 0) {
        socket.send(kept, { binary: true }, () => {
          if (!ended && socket.bufferedAmount < highWaterBytes) stdin.resume();
        });
        if (socket.bufferedAmount > highWaterBytes) stdin.pause();
      }
      if (escape >= 0) finish();
    };
    let inputEnded = false;
    const sent = () => {
      inputEnded = true;
      if (interactive) finish();
      else waitQuiet();
    };

    socket.on('message', (data: Buffer) => {
      stdout.write(data);
      if (inputEnded) waitQuiet();
      if (options.until === undefined) return;
      tail = (tail + data.toString('latin1')).slice(-64 * 1024);
      if (tail.includes(Buffer.from(options.until).toString('latin1'))) finish();
    });
    socket.on('error', (error) => finish(new Error(`the console broke: ${error.message}`)));
    socket.on('close', (code, reason) => {
      if (options.until !== undefined) finish(new Error(`the console closed before "${options.until}" appeared`));
      else if (code === 1000 || code === 1005) finish();
      else finish(new Error(`the console was closed: ${reason.toString() || `code ${code}`}`));
    });
    around.interrupted.addEventListener('abort', interrupt);
    if (interactive) stdin.setRawMode?.(true);
    stdin.on('data', send).on('end', sent);
    stdin.resume();
    socket.resume();
    if (around.interrupted.aborted) interrupt();
  });
}
