/**
 * `kvasir test`: everything in `npm run check`, then all end-to-end tests (`*.e2e.ts`), two files at a time, each with a lab of
 * its own, for they wait more than they work; and beside them a thousand simulated fault schedules (one test), which take what
 * processor time is left. The last line is `N passed, N failed`, over all. Exit code 1 when anything failed or nothing ran.
 * SIGINT (Ctrl-C), SIGTERM and SIGHUP end all that runs and remove the labs that were in use; a second one ends it at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { run } from 'node:test';
import { basename, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { checkoutDirectory } from './layout.ts';
import { until } from './processes.ts';
import { removeAbandonedTestLabs } from './test-labs.ts';

export type Totals = { readonly passed: number; readonly failed: number };

const none: Totals = { passed: 0, failed: 0 };
const fileTimeoutMs = 15 * 60_000;

export function parseTotals(line: string): Totals | undefined {
  const match = /^([0-9]+) passed, ([0-9]+) failed$/.exec(line.trim());
  return match === null ? undefined : { passed: Number(match[1]), failed: Number(match[2]) };
}

class EndedBySignal extends Error {
  /** As the shell says it. */
  readonly exitCode: number;
  constructor(name: NodeJS.Signals) {
    super(`ended by ${name}`);
    this.exitCode = 128 + constants.signals[name];
  }
}

/** A terminal tells Ctrl-C to every process below it; the others reach this one alone and have to be passed on. */
export function whenTerminated(): AbortSignal {
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => end.abort(new EndedBySignal(name)));
  return end.signal;
}

/** Their labs are still in use as long as they run. */
async function untilChildrenAreGone(): Promise<void> {
  await until(
    'end of the test files',
    30_000,
    () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8') === '',
  );
}

/** The exit code; null: a signal ended it. */
function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => (error.name === 'AbortError' ? resolve(null) : reject(error)));
    child.once('exit', (code) => resolve(code));
  });
}

/** Passes on what the check prints, except its closing line, which it returns. */
async function check(print: (line: string) => void, terminated: AbortSignal): Promise<Totals> {
  const child = spawn(process.execPath, [join(checkoutDirectory, 'tools/check.ts')], {
    cwd: checkoutDirectory,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: terminated,
  });
  const exit = exitOf(child);
  let totals: Totals | undefined;
  for await (const line of createInterface(child.stdout)) {
    const found = parseTotals(line);
    if (found === undefined) print(line);
    else totals = found;
  }
  const code = await exit;
  if (totals === undefined) {
    print(`the check ended with exit code ${code} before its last line`);
    return { passed: 0, failed: 1 };
  }
  return code !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}

const simulatedSeeds = 1000;
const slowestFiles = 8;

/**
 * Plays fault schedules over the real manager and agents; what fails is printed with its seed and script. Their clock is virtual:
 * how slowly they get on beside other work changes nothing.
 */
async function simulate(print: (line: string) => void, terminated: AbortSignal): Promise<Totals> {
  const startedMs = performance.now();
  const play = [process.execPath, join(checkoutDirectory, 'sim/main.ts'), '--seeds', String(simulatedSeeds)];
  const child = spawn('nice', ['-n', '19', ...play], {
    cwd: checkoutDirectory,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: terminated,
  });
  const exit = exitOf(child);
  for await (const line of createInterface(child.stdout)) print(line);
  const good = (await exit) === 0;
  const seconds = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`.padStart(8);
  print(`${good ? 'ok' : 'failed'} ${seconds}  ${simulatedSeeds} simulated fault schedules`);
  return good ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** These measure times and rates, or begin a demo as a newcomer does: no other lab beside them. */
const alone: readonly string[] = [
  'demo-can-be-interrupted',
  'policy-follows-the-vm',
  'policy-is-enforced',
  'qos-and-mirrors',
  'readme-tour',
  'vm-moves',
];

async function endToEnd(
  files: readonly string[],
  print: (line: string) => void,
  terminated: AbortSignal,
): Promise<Totals[]> {
  const isAlone = (file: string): boolean => alone.includes(basename(file, '.e2e.ts'));
  const together = files.filter((file) => !isAlone(file));
  return [await play(together, 2, print, terminated), await play(files.filter(isAlone), 1, print, terminated)];
}

/** A skipped or unfinished test is a failure: it would look like a promise that is kept. */
export async function play(
  files: readonly string[],
  concurrency: number,
  print: (line: string) => void,
  terminated: AbortSignal,
): Promise<Totals> {
  // Given none, the runner would look for some itself.
  if (files.length === 0) return none;
  let passed = 0;
  let failed = 0;
  const stream = run({
    files: [...files],
    concurrency,
    timeout: fileTimeoutMs,
    cwd: checkoutDirectory,
    signal: terminated,
  });
  const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`.padStart(8);
  const spentMs = new Map<string, number>();
  const spend = (file = '', ms: number): void => void spentMs.set(file, (spentMs.get(file) ?? 0) + ms);
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    spend(event.file, event.details.duration_ms);
    const notRun = event.skip !== undefined ? 'skipped' : event.todo !== undefined ? 'still to do' : undefined;
    if (notRun === undefined) passed++;
    else failed++;
    print(`${notRun === undefined ? 'ok' : notRun} ${seconds(event.details.duration_ms)}  ${event.name}`);
  });
  stream.on('test:fail', (event) => {
    const error: Error & { readonly failureType?: string } = event.details.error;
    if (error.failureType === 'subtestsFailed') return;
    spend(event.file, event.details.duration_ms);
    failed++;
    const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : error.message;
    print(
      `failed ${seconds(event.details.duration_ms)}  ${event.name} (${event.file ?? ''}:${event.line ?? 0})\n${cause}`,
    );
  });
  stream.on('test:stderr', (event) => print(event.message.trimEnd()));
  for await (const _ of stream) {
    // The stream must be read to its end for the tests to go on.
  }
  const slowest = [...spentMs].sort(([, a], [, b]) => b - a).slice(0, slowestFiles);
  for (const [file, ms] of slowest) print(`   ${seconds(ms)}  in the tests of ${relative(checkoutDirectory, file)}`);
  return { passed, failed };
}

/** @param only words that a file's path must contain, any of them; all files and the check when empty */
export async function test(only: readonly string[]): Promise<number> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const terminated = whenTerminated();
  const left = await removeAbandonedTestLabs();
  if (left.length > 0) print(`removed what interrupted runs left: ${left.join(', ')}`);
  const files = globSync('e2e/**/*.e2e.ts', { cwd: checkoutDirectory })
    .filter((file) => only.length === 0 || only.some((word) => file.includes(word)))
    .sort()
    .map((file) => join(checkoutDirectory, file));
  if (files.length === 0) print(`no end-to-end test has ${only.join(' or ')} in its path`);
  const checked = only.length === 0 ? await check(print, terminated) : none;
  const [simulated, tested] = await Promise.all([
    only.length === 0 ? simulate(print, terminated) : none,
    endToEnd(files, print, terminated),
  ]);
  if (terminated.aborted) await untilChildrenAreGone();
  await removeAbandonedTestLabs();
  const stages = [checked, simulated, ...tested];
  const sum = (of: (totals: Totals) => number): number => stages.reduce((all, each) => all + of(each), 0);
  const totals = { passed: sum(({ passed }) => passed), failed: sum(({ failed }) => failed) };
  print(`${totals.passed} passed, ${totals.failed} failed`);
  if (terminated.aborted) return (terminated.reason as EndedBySignal).exitCode;
  return totals.failed > 0 || totals.passed === 0 ? 1 : 0;
}
