/** The agent's log: one line an event on standard error, for the service manager to keep. Never contains secrets. */
import { inspect } from 'node:util';

export type Log = (message: string, error?: unknown) => void;

export const stderrLog: Log = (message, error) => {
  const why = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  process.stderr.write(`${new Date().toISOString()} ${message}${error === undefined ? '' : `: ${why}`}\n`);
};

export const noLog: Log = () => {};
