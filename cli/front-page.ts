/** What `kvasir` says when it is asked nothing: for a person who sees it for the first time. */
export const groupSummaries: Readonly<Record<string, string>> = {
  vm: 'virtual machines: create, start, stop, migrate, resize, console, …',
};

export function frontPage(): string {
  return 'todo\n';
}
