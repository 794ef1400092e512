/**
 * Checks every import of every workspace: the direction (tools/import-rules.ts), that what is imported is declared in the
 * workspace's package.json, that what is declared is imported, and that no file only hands on what others define.
 */
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, posix } from 'node:path';
import { isInLayer, packageRefusalOf, refusalOf } from './import-rules.ts';
import { type ImportStatement, importStatements } from './import-statements.ts';
import { isTestCode, type PackageJson, readPackageJson, readWorkspaces, type Workspace } from './source-tree.ts';

const scope = '@kvasir/';

interface SourceFile {
  readonly path: string;
  readonly workspace: Workspace;
  readonly imports: readonly ImportStatement[];
}

/** What a specifier means: a file of ours, or a package (built-in modules with their `node:`). */
type Target =
  | { readonly kind: 'file'; readonly path: string; readonly packageName: string | undefined }
  | { readonly kind: 'package'; readonly name: string };

/** One line a problem, `file:line: what is wrong`; empty when all is well. */
export function findImportProblems(root: string): string[] {
  const workspaces = readWorkspaces(root);
  const files = workspaces.flatMap((workspace) =>
    workspace.files.map((path) => ({ path, workspace, imports: importsOf(root, path) })),
  );
  const importsLayers = new Set(files.filter(importsLayer).map((file) => file.path));
  const rootPackage = readPackageJson(root);
  return [
    ...files.flatMap((file) => fileProblems(file, importsLayers, rootPackage)),
    ...workspaces.flatMap((workspace) => unusedDependencies(workspace, files)),
  ];
}

function importsOf(root: string, path: string): ImportStatement[] {
  return importStatements(path, readFileSync(join(root, path), 'utf8'));
}

/** Of a file directly in manager/ or agent/: whether it knows the folders there, in which case those may not know it. */
function importsLayer(file: SourceFile): boolean {
  return file.imports.some(({ specifier }) => {
    const target = resolve(file, specifier);
    return target.kind === 'file' && isInLayer(target.path);
  });
}

function resolve(file: SourceFile, specifier: string): Target {
  if (specifier.startsWith('.')) {
    return { kind: 'file', path: posix.join(posix.dirname(file.path), specifier), packageName: undefined };
  }
  if (specifier.startsWith(scope)) {
    const path = specifier.slice(scope.length);
    return { kind: 'file', path, packageName: scope + path.split('/')[0] };
  }
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return { kind: 'package', name: specifier };
  const parts = specifier.split('/');
  return { kind: 'package', name: specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier) };
}

function fileProblems(file: SourceFile, importsLayers: ReadonlySet<string>, rootPackage: PackageJson): string[] {
  const problems: string[] = [];
  if (/\/index\.tsx?$/.test(file.path)) problems.push(`${file.path}: a file is named for what it holds, not index`);
  for (const { specifier, line, reExport } of file.imports) {
    const complain = (what: string): void => void problems.push(`${file.path}:${line}: ${what}`);
    if (reExport) complain(`hands on ${specifier}; whoever needs it imports it from there`);
    const target = resolve(file, specifier);
    if (target.kind === 'package') {
      const refusal = packageRefusalOf(file.path, target.name) ?? undeclared(file, target.name, rootPackage);
      if (refusal !== undefined) complain(refusal);
      continue;
    }
    const ownName = file.workspace.name;
    const inside = target.path.startsWith(`${ownName}/`);
    if (target.packageName === undefined && !inside) complain(`leaves its workspace by a relative path (${specifier})`);
    else if (target.packageName !== undefined && inside) complain(`imports its own workspace by name (${specifier})`);
    else {
      const toImportsLayers = importsLayers.has(target.path);
      const refusal =
        refusalOf({ from: file.path, to: target.path, toImportsLayers }) ??
        (target.packageName === undefined ? undefined : undeclared(file, target.packageName, rootPackage));
      if (refusal !== undefined) complain(`${refusal} (${specifier})`);
    }
  }
  return problems;
}

/** The product needs a dependency; for tests and tools a development dependency does, also one of the whole repository. */
function undeclared(file: SourceFile, name: string, rootPackage: PackageJson): string | undefined {
  if (name.startsWith('node:')) return undefined;
  if (builtinModules.includes(name)) return `built-in modules are imported as node:${name}`;
  const { packageJson } = file.workspace;
  const development = isTestCode(file.path) || file.workspace.name === 'tools';
  const declared = development
    ? { ...packageJson.dependencies, ...packageJson.devDependencies, ...rootPackage.devDependencies }
    : packageJson.dependencies;
  if (declared?.[name] !== undefined) return undefined;
  return `${file.workspace.name}/package.json does not declare ${name}${development ? '' : ' as a dependency'}`;
}

function unusedDependencies(workspace: Workspace, files: readonly SourceFile[]): string[] {
  const own = files.filter((file) => file.workspace === workspace);
  const product = namesImportedBy(own.filter((file) => !isTestCode(file.path)));
  const all = namesImportedBy(own);
  const { dependencies = {}, devDependencies = {} } = workspace.packageJson;
  const path = `${workspace.name}/package.json`;
  return [
    ...Object.keys(dependencies)
      .filter((name) => !product.has(name))
      .map((name) => `${path}: ${name} is declared but ${all.has(name) ? 'only tests use it' : 'nothing imports it'}`),
    ...Object.keys(devDependencies)
      .filter((name) => !all.has(name) && !isTypesOf(name, all))
      .map((name) => `${path}: ${name} is declared but nothing imports it`),
  ];
}

function namesImportedBy(files: readonly SourceFile[]): Set<string> {
  const names = new Set<string>();
  for (const file of files) {
    for (const { specifier } of file.imports) {
      const target = resolve(file, specifier);
      names.add(target.kind === 'package' ? target.name : (target.packageName ?? ''));
    }
  }
  return names;
}

/** `@types/ws` is used where `ws` is. */
function isTypesOf(name: string, imported: ReadonlySet<string>): boolean {
  return name.startsWith('@types/') && imported.has(name.slice('@types/'.length));
}
