/** Starts the keeper's program, in a session of its own: it outlives this agent. A second one of a host ends by itself. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { keeperLogFile, limitKeeperLog } from '../../lease/keeper-log.ts';

export interface KeeperProcessOptions {
  /** What it is told. */
  readonly file: string;
  /** For its log. */
  readonly directory: string;
  readonly runDirectory: string;
  readonly log: (message: string) => void;
  /** It has ended, or could not be started. */
  readonly onEnd: () => void;
}

export function startKeeper({ file, directory, runDirectory, log, onEnd }: KeeperProcessOptions): void {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const program = join(import.meta.dirname, '../../keeper.ts');
  const logFile = keeperLogFile(directory);
  // One that does not even come to limit its log is started again and again.
  void limitKeeperLog(logFile).catch(() => {});
  const output = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [program, '--file', file, '--run', runDirectory], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', output, output],
    env: { PATH, NODE_COMPILE_CACHE },
  });
  closeSync(output);
  child.on('exit', onEnd);
  child.on('error', (error) => {
    onEnd();
    log(`the keeper cannot be started: ${error.message}`);
  });
  child.unref();
}
