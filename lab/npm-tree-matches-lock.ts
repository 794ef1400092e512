/**
 * Answers (by exit code) whether node_modules already holds what package-lock.json asks for, by comparing it with the
 * hidden lock file that npm writes into node_modules. The launcher asks before it spends time on npm.
 * Imports nothing outside Node, because the dependencies may be missing when it runs.
 */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

type LockedPackage = {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly optional?: boolean;
};
type LockFile = { readonly packages: Readonly<Record<string, LockedPackage>> };

/** True when each package of `wanted` is in `installed` with the same version; optional ones of other platforms may miss. */
export function treeMatchesLock(wanted: LockFile, installed: LockFile): boolean {
  return Object.entries(wanted.packages).every(([path, asked]) => {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) return true;
    const found = installed.packages[path];
    if (found === undefined) return asked.optional === true;
    return found.version === asked.version && found.integrity === asked.integrity;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = process.argv[2] ?? '.';
  const read = (path: string): LockFile => JSON.parse(readFileSync(`${root}/${path}`, 'utf8')) as LockFile;
  process.exitCode = treeMatchesLock(read('package-lock.json'), read('node_modules/.package-lock.json')) ? 0 : 1;
}
