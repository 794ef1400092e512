/** What reading in /proc tells of a process: only these errors say that it is not there; any other says nothing. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}

/** For `catch`: what is read of a process that is not there. */
export function ifGone<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isGone(error)) return value;
    throw error;
  };
}
