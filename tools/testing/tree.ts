/** A small repository on disk for one test; removed when the test ends. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import type { PackageJson } from '../source-tree.ts';

/** Writes the files (path -> text) and answers the folder. */
export function tree(test: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'kvasir-tools-'));
  test.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** The package.json files of a repository with these workspaces, ready to be spread into `tree`. */
export function packages(
  workspaces: Readonly<Record<string, PackageJson>>,
  rootFields: PackageJson = {},
): Record<string, string> {
  const common = { version: '0.1.0', private: true, type: 'module' };
  const files: Record<string, string> = {
    'package.json': JSON.stringify({ name: 'kvasir', ...common, workspaces: Object.keys(workspaces), ...rootFields }),
  };
  for (const [name, fields] of Object.entries(workspaces)) {
    files[`${name}/package.json`] = JSON.stringify({ name: `@kvasir/${name}`, ...common, ...fields });
  }
  return files;
}
