/** The agent's log: one line an event on standard error, for the service manager to keep. Never contains secrets. */
export type Log = (message: string, error?: unknown) => void;

export const stderrLog: Log = (message, error) => {
  const why = error === undefined ? '' : `: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  process.stderr.write(`${new Date().toISOString()} ${message}${why}\n`);
};

export const noLog: Log = () => {};
