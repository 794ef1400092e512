/**
 * Runs the unit tests of all workspaces, each file in a process of its own, and counts. A skipped or unfinished test is a
 * failure here: it would otherwise look like a promise that is kept.
 */
import { join } from 'node:path';
import { run } from 'node:test';
import { readWorkspaces } from './source-tree.ts';

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
/** A file that hangs must not hang the check. */
const fileTimeoutMs = 110_000;

export function unitTestFiles(root: string): string[] {
  return readWorkspaces(root)
    .filter(({ name }) => !notUnitTests.includes(name))
    .flatMap(({ files }) => files)
    .filter((path) => /\.test\.tsx?$/.test(path));
}

interface TestEvent {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly skip?: string | boolean | undefined;
  readonly todo?: string | boolean | undefined;
  readonly details: {
    readonly duration_ms: number;
    readonly type?: string | undefined;
    readonly error?: Error & { readonly failureType?: string };
  };
}

export async function runUnitTests(root: string, files: readonly string[]): Promise<TestTotals> {
  const failures: string[] = [];
  const failedFiles = new Set<string>();
  const printed = new Map<string, string>();
  const durationsMs = new Map<string, number>();
  let passed = 0;
  let failed = 0;
  const place = (event: TestEvent): string => `${(event.file ?? '').replace(`${root}/`, '')}:${event.line ?? 0}`;
  const fail = (event: TestEvent, what: string): void => {
    failed++;
    if (event.file !== undefined) failedFiles.add(event.file);
    failures.push(`${place(event)}: ${event.name}\n${what}`);
  };
  const stream = run({ files: files.map((path) => join(root, path)), concurrency, timeout: fileTimeoutMs, cwd: root });
  stream.on('test:pass', (event) => {
    if (event.skip !== undefined) fail(event, 'was skipped');
    else if (event.todo !== undefined) fail(event, 'is marked as still to do');
    else if (event.details.type !== 'suite') passed++;
  });
  stream.on('test:fail', (event) => {
    // A suite, or a test with subtests, fails because of what is inside and was told already.
    const error: TestEvent['details']['error'] = event.details.error;
    if (event.details.type !== 'suite' && error.failureType !== 'subtestsFailed') fail(event, describe(error));
  });
  stream.on('test:complete', (event) => {
    if (event.nesting !== 0 || event.file === undefined) return;
    durationsMs.set(event.file, (durationsMs.get(event.file) ?? 0) + event.details.duration_ms);
  });
  const keep = ({ file, message }: { file: string; message: string }): void => {
    printed.set(file, (printed.get(file) ?? '') + message);
  };
  stream.on('test:stdout', keep);
  stream.on('test:stderr', keep);
  for await (const _event of stream) {
    // Draining the stream is what runs the tests.
  }
  for (const file of failedFiles) {
    const text = printed.get(file)?.trim();
    if (text) failures.push(`${file.replace(`${root}/`, '')} printed:\n${text}`);
  }
  const slowest = [...durationsMs]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5)
    .map(([file, ms]) => `${(ms / 1000).toFixed(1)} s ${file.replace(`${root}/`, '')}`);
  return { passed, failed, failures, slowest };
}

/** The runner wraps what was thrown. */
function describe(error: Error): string {
  const thrown = error.cause instanceof Error ? error.cause : error;
  return thrown.stack ?? thrown.message;
}
