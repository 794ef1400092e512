/** Runs one command line inside the test's process, with streams and a home of its own. */
import { PassThrough, Writable } from 'node:stream';
import { run } from '../run.ts';
import type { Surroundings } from '../surroundings.ts';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Text, or a stream that the test feeds. */
  readonly stdin?: string | Surroundings['stdin'];
  readonly interrupted?: AbortSignal;
  /** Sees each piece of stdout as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Sees each piece of stderr as it comes. */
  readonly onPrompt?: (text: string) => void;
  readonly terminal?: boolean;
}

export async function runCli(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const stdout = collector(options.onOutput);
  const stderr = collector(options.onPrompt);
  const code = await run(words, {
    stdin: typeof options.stdin === 'object' ? options.stdin : textStream(options.stdin ?? ''),
    stdout: Object.assign(stdout.stream, { isTTY: options.terminal === true, columns: 100 }),
    stderr: Object.assign(stderr.stream, { isTTY: options.terminal === true, columns: 100 }),
    env: { HOME: '/nonexistent', ...options.env },
    interrupted: options.interrupted ?? new AbortController().signal,
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function textStream(text: string): PassThrough {
  const stream = new PassThrough();
  stream.end(text);
  return stream;
}

function collector(onText?: (text: string) => void) {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      onText?.(chunk.toString('utf8'));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
