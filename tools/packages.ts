/**
 * Checks package.json files and the lock: every version is exact, so that two installations are the same; the lock agrees
 * with the declarations and carries a checksum but no address for each package, so that it serves every registry and mirror.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PackageJson, readPackageJson, readWorkspaces } from './source-tree.ts';

const exactVersion = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const dependencyKinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;

interface LockEntry extends PackageJson {
  readonly resolved?: string;
  readonly link?: boolean;
  readonly integrity?: string;
}

/** One line a problem; empty when all is well. */
export function findPackageProblems(root: string): string[] {
  const rootPackage = readPackageJson(root);
  const packages = [
    { folder: '', packageJson: rootPackage },
    ...readWorkspaces(root).map(({ name, packageJson }) => ({ folder: name, packageJson })),
  ];
  return [
    ...packages.flatMap(({ folder, packageJson }) => declarationProblems(folder, packageJson, rootPackage)),
    ...lockProblems(root, packages),
  ];
}

function declarationProblems(folder: string, packageJson: PackageJson, rootPackage: PackageJson): string[] {
  const path = folder === '' ? 'package.json' : `${folder}/package.json`;
  const problems: string[] = [];
  if (packageJson.private !== true) problems.push(`${path}: is not private`);
  if (packageJson.version !== rootPackage.version) problems.push(`${path}: has another version than the repository`);
  if (folder !== '' && packageJson.name !== `@kvasir/${folder}`)
    problems.push(`${path}: is not named @kvasir/${folder}`);
  for (const kind of dependencyKinds) {
    for (const [name, version] of Object.entries(packageJson[kind] ?? {})) {
      if (!exactVersion.test(version)) problems.push(`${path}: ${name} "${version}" is not an exact version`);
      else if (name.startsWith('@kvasir/') && version !== rootPackage.version) {
        problems.push(`${path}: ${name} ${version} is not the version of the repository`);
      }
    }
  }
  return problems;
}

function lockProblems(root: string, packages: readonly { folder: string; packageJson: PackageJson }[]): string[] {
  const path = join(root, 'package-lock.json');
  if (!existsSync(path)) return ['package-lock.json: is missing'];
  const entries = (JSON.parse(readFileSync(path, 'utf8')) as { packages?: Record<string, LockEntry> }).packages ?? {};
  const problems: string[] = [];
  for (const { folder, packageJson } of packages) {
    const locked = entries[folder];
    const agrees = dependencyKinds.every((kind) => sameRecord(packageJson[kind], locked?.[kind]));
    if (locked === undefined || !agrees) {
      problems.push(`package-lock.json: does not agree with ${folder === '' ? '' : `${folder}/`}package.json`);
    }
  }
  for (const [name, entry] of Object.entries(entries)) {
    if (!name.includes('node_modules/') || entry.link === true) continue;
    if (entry.resolved !== undefined) problems.push(`package-lock.json: ${name} names where it came from`);
    if (entry.integrity === undefined) problems.push(`package-lock.json: ${name} has no checksum`);
  }
  return problems;
}

function sameRecord(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const entries = (record: Readonly<Record<string, string>>): string =>
    JSON.stringify(
      Object.keys(record)
        .sort()
        .map((name) => [name, record[name]]),
    );
  return entries(a) === entries(b);
}
