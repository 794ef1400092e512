/**
 * `npm run check`: everything that is known about the source without a real host: types, lint, format, imports, sizes,
 * packages, links in the documentation, the committed OpenAPI document, and all unit tests. Each check counts as one test,
 * and the last line is `N passed, N failed` alone. `node tools/check.ts lint imports` runs only the checks named.
 */
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { findImportProblems } from './imports.ts';
import { findBrokenLinks } from './links.ts';
import { findPackageProblems } from './packages.ts';
import { findLargeFiles } from './sizes.ts';
import { endRunningFiles } from './test-file.ts';
import { runUnitTests, unitTestFiles } from './unit-tests.ts';

const root = dirname(import.meta.dirname);

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** Shown whatever the outcome, a line each. */
  readonly notes: readonly string[];
  readonly problems: readonly string[];
}

interface Check {
  readonly name: string;
  readonly run: () => Outcome | Promise<Outcome>;
}

const checks: readonly Check[] = [
  { name: 'types', run: () => program('node_modules/typescript/bin/tsc', ['--noEmit', '--pretty', 'false']) },
  { name: 'lint', run: () => program('node_modules/oxlint/bin/oxlint', ['--type-aware', '-f', 'unix']) },
  {
    name: 'format',
    run: () =>
      program('node_modules/@biomejs/biome/bin/biome', ['format', '--colors=off', '--max-diagnostics=none', '.']),
  },
  { name: 'imports', run: () => found(findImportProblems(root)) },
  {
    name: 'sizes',
    run: () => {
      const { problems, warnings } = findLargeFiles(root);
      return found(problems, warnings);
    },
  },
  { name: 'packages', run: () => found(findPackageProblems(root)) },
  { name: 'links', run: () => found(findBrokenLinks(root)) },
  { name: 'openapi', run: () => program('api/write-openapi.ts', ['--check']) },
  { name: 'tests', run: unitTests },
];

function found(problems: readonly string[], notes: readonly string[] = []): Outcome {
  return { ...(problems.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }), problems, notes };
}

/** A JavaScript or TypeScript program of this repository; what it says counts only when it fails. */
function program(path: string, args: readonly string[]): Promise<Outcome> {
  const PATH = `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  const options = { cwd: root, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, PATH } };
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, path), ...args], options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim();
      resolve(found(error === null ? [] : [output === '' ? error.message : output]));
    });
  });
}

async function unitTests(): Promise<Outcome> {
  const { passed, failed, failures, slowest } = await runUnitTests(root, unitTestFiles(root));
  const none = passed + failed === 0;
  return {
    passed,
    failed: failed + (none ? 1 : 0),
    notes: slowest,
    problems: none ? ['no unit test was found'] : failures,
  };
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

async function timed({ name, run }: Check): Promise<{ name: string; outcome: Outcome; took: string }> {
  const startedMs = performance.now();
  const outcome = await run();
  return { name, outcome, took: seconds(startedMs) };
}

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length > 0) {
    console.error(`no such check: ${unknown.join(', ')}; there are ${checks.map((check) => check.name).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const startedMs = performance.now();
  const lines: string[] = [];
  let passed = 0;
  let failed = 0;
  const asked = checks.filter(({ name }) => names.length === 0 || names.includes(name));
  // The unit tests need the processors for themselves, some look at the clock.
  for (const together of [asked.filter(({ name }) => name !== 'tests'), asked.filter(({ name }) => name === 'tests')]) {
    for (const each of together.map(timed)) {
      const { name, outcome, took } = await each;
      const good = outcome.failed === 0;
      passed += outcome.passed;
      failed += outcome.failed;
      const counts = name === 'tests' ? `${outcome.passed} passed, ${outcome.failed} failed` : '';
      const line = `${good ? 'ok    ' : 'FAILED'} ${name.padEnd(10)} ${took.padStart(7)}  ${counts}`;
      lines.push(line.trimEnd());
      console.log(line.trimEnd());
      for (const note of outcome.notes) console.log(`         ${note}`);
      for (const problem of outcome.problems) console.log(problem.replaceAll(/^/gm, '  '));
    }
  }
  console.log(`\n${lines.join('\n')}\nall of it in ${seconds(startedMs)}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    endRunningFiles();
    process.exit(exitCode);
  });
}

await main(process.argv.slice(2));
