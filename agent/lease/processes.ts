/** What reading in /proc tells of a process: only these errors say that it is not there; any other tells nothing. */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}
