/**
 * Runs the machine's tools (ip, nsenter, qemu-img …) without a shell. Owns only how a failure reads: the tool, what was
 * asked of it, and what it said. Output is text.
 */
import { execFile } from 'node:child_process';

export type CommandOptions = {
  readonly cwd?: string;
  readonly input?: string | Buffer;
  /** Milliseconds after which the tool is killed; 60 s unless told. */
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
};

export type CommandResult = { readonly stdout: string; readonly stderr: string; readonly exitCode: number };

export class CommandError extends Error {
  readonly argv: readonly string[];
  readonly result: CommandResult;
  constructor(argv: readonly string[], result: CommandResult, reason: string) {
    super(`${argv.join(' ')}: ${(result.stderr || result.stdout).trim() || reason}`);
    this.name = 'CommandError';
    this.argv = argv;
    this.result = result;
  }
}

/** Runs to the end whatever the exit code; rejects only when the tool could not run at all or ran into the timeout. */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file, ...args] = argv;
  if (file === undefined) throw new TypeError('a command needs at least the name of a program');
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        cwd: options.cwd,
        env: options.env,
        timeout: options.timeoutMs ?? 60_000,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const result = {
          stdout,
          stderr,
          exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
        };
        if (error !== null && result.exitCode === -1) {
          reject(new CommandError(argv, result, error.killed ? 'ran into its time limit' : error.message));
        } else resolve(result);
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a tool that must succeed and returns what it printed. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await attempt(argv, options);
  if (result.exitCode !== 0) throw new CommandError(argv, result, `exit code ${result.exitCode}`);
  return result.stdout;
}
