/**
 * Runs the unit tests of all workspaces, some files at a time, and counts. A skipped or unfinished test is a failure here:
 * it would otherwise look like a promise that is kept.
 */
import { readWorkspaces } from './source-tree.ts';
import { type FileLimits, type FileResult, runTestFile } from './test-file.ts';
import type { TestLine } from './test-reporter.ts';

export interface TestTotals {
  readonly passed: number;
  readonly failed: number;
  /** What to show of each failure: the test, its place, its error, and what its file printed. */
  readonly failures: readonly string[];
  /** Files that took longest, `seconds file`. */
  readonly slowest: readonly string[];
}

/** These need real hosts or a browser and are run by themselves. */
const notUnitTests: readonly string[] = ['e2e'];
const concurrency = 2;
const defaultLimits: FileLimits = { timeoutMs: 180_000, graceMs: 5000 };

export function unitTestFiles(root: string): string[] {
  return readWorkspaces(root)
    .filter(({ name }) => !notUnitTests.includes(name))
    .flatMap(({ files }) => files)
    .filter((path) => /\.test\.tsx?$/.test(path));
}

export async function runUnitTests(
  root: string,
  files: readonly string[],
  limits: FileLimits = defaultLimits,
): Promise<TestTotals> {
  const results: FileResult[] = [];
  const waiting = [...files];
  const worker = async (): Promise<void> => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      results.push(await runTestFile(root, path, limits));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return {
    passed: results.flatMap(({ tests }) => tests).filter(({ outcome }) => outcome === 'passed').length,
    failed: results.reduce(
      (sum, result) => sum + failedTests(result).length + (result.problem === undefined ? 0 : 1),
      0,
    ),
    failures: results.toSorted((a, b) => (a.path < b.path ? -1 : 1)).flatMap(failuresOf),
    slowest: results
      .toSorted((a, b) => b.durationMs - a.durationMs)
      .slice(0, 5)
      .map(({ path, durationMs }) => `${(durationMs / 1000).toFixed(1)} s ${path}`),
  };
}

function failedTests({ tests }: FileResult): readonly TestLine[] {
  return tests.filter(({ outcome }) => outcome !== 'passed');
}

function failuresOf(result: FileResult): string[] {
  const { path, problem, printed } = result;
  const found = failedTests(result).map(
    ({ name, line, outcome, error }) => `${path}:${line}: ${name}\n${error ?? `is marked as ${outcome}`}`,
  );
  if (problem !== undefined) found.push(`${path}: ${problem}`);
  if (found.length > 0 && printed !== '') found.push(`${path} printed:\n${printed}`);
  return found;
}
