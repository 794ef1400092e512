/**
 * Runs a program of the distribution for a driver: an argument list, never a shell; standard input given, output
 * collected within bounds, ended when it takes too long or is cancelled.
 */
import { spawn } from 'node:child_process';
import { KvasirError } from '@kvasir/api/errors.ts';

export interface ProgramOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Default 60 s; 0: no limit. */
  readonly timeoutMs?: number;
  /** Sees standard output as it comes, besides its being collected. */
  readonly onOutput?: (text: string) => void;
}

export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one program; drivers take it as a parameter where tests work inside a network namespace. */
export type RunProgram = (file: string, args: readonly string[], options?: ProgramOptions) => Promise<ProgramOutput>;

/** A program that did not end with 0. Its last words are the reason. */
export class ProgramError extends KvasirError {
  readonly exitCode: number | null;
  readonly stderr: string;

  constructor(file: string, exitCode: number | null, stderr: string) {
    const words = stderr.trim().split('\n').slice(-3).join('; ') || `ended with ${exitCode ?? 'a signal'}`;
    super('host-failed', { reason: `${file}: ${words}` });
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

const outputLimit = 16 * 1024 * 1024;

/** Errors: `ProgramError` (`host-failed`), `timeout`, `cancelled`. */
export const runProgram: RunProgram = (file, args, options = {}) => {
  const { signal, timeoutMs = 60_000 } = options;
  if (signal?.aborted === true) return Promise.reject(new KvasirError('cancelled'));
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.env ?? { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    });
    let stdout = '';
    let stderr = '';
    let ended: KvasirError | null = null;
    const end = (error: KvasirError) => {
      ended ??= error;
      child.kill('SIGKILL');
    };
    const cancel = () => end(new KvasirError('cancelled'));
    signal?.addEventListener('abort', cancel, { once: true });
    const timer =
      timeoutMs === 0 ? null : setTimeout(() => end(new KvasirError('timeout', { what: file, timeoutMs })), timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < outputLimit) stdout += text;
      options.onOutput?.(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < outputLimit) stderr += text;
    });
    const settle = () => {
      signal?.removeEventListener('abort', cancel);
      if (timer !== null) clearTimeout(timer);
    };
    child.on('error', (error) => {
      settle();
      reject(new KvasirError('host-failed', { reason: `cannot run ${file}: ${error.message}` }));
    });
    child.on('close', (code) => {
      settle();
      if (ended !== null) reject(ended);
      else if (code === 0) resolve({ stdout, stderr });
      else reject(new ProgramError(file, code, stderr));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
};
