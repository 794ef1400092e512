/**
 * The repository as the checks see it: its workspaces and the source files in them. Reads the disk rather than git's
 * index, so that a file counts before it is added.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PackageJson {
  readonly name?: string;
  readonly version?: string;
  readonly private?: boolean;
  readonly workspaces?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface Workspace {
  /** Its folder, which is also the last part of its package name. */
  readonly name: string;
  readonly packageJson: PackageJson;
  /** TypeScript files, relative to the repository, sorted. */
  readonly files: readonly string[];
}

const notOurs = new Set(['node_modules', '.git', '.kvasir', 'dist', 'results']);

/** All files below `folder`, as sorted paths relative to `root`, without what is installed, built or kept at run time. */
export function filesBelow(root: string, folder = ''): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !notOurs.has(entry.name)) found.push(...filesBelow(root, path));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

export function readPackageJson(root: string, folder = ''): PackageJson {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as PackageJson;
}

export function readWorkspaces(root: string): Workspace[] {
  return (readPackageJson(root).workspaces ?? []).map((name) => ({
    name,
    packageJson: readPackageJson(root, name),
    files: filesBelow(root, name).filter((path) => /\.tsx?$/.test(path)),
  }));
}

/** Tests and what only tests use (a folder `testing`, or one file `testing.ts`); they may import more than the product may. */
export function isTestCode(path: string): boolean {
  return /(\.test\.tsx?|\/testing\.ts)$/.test(path) || path.split('/').slice(0, -1).includes('testing');
}
