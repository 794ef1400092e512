/**
 * One test file in a process of its own. Node's own runner leaves a file that never yields to its event loop running
 * for ever; here it is ended, with everything in its process group.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestLine } from './test-reporter.ts';

export interface FileResult {
  readonly path: string;
  readonly tests: readonly TestLine[];
  /** What is wrong with the file as a whole, beside its tests. */
  readonly problem: string | undefined;
  /** Standard output and standard error together. */
  readonly printed: string;
  readonly durationMs: number;
}

export interface FileLimits {
  readonly timeoutMs: number;
  /** After the polite signal, until the other one. */
  readonly graceMs: number;
}

const running = new Set<number>();
const reporter = join(import.meta.dirname, 'test-reporter.ts');

/** Ends the files that run now; for when the check itself is interrupted. */
export function endRunningFiles(): void {
  for (const pid of running) signalGroup(pid, 'SIGKILL');
}

export async function runTestFile(root: string, path: string, limits: FileLimits): Promise<FileResult> {
  const startedMs = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'kvasir-test-report-'));
  try {
    const report = join(folder, 'tests.jsonl');
    const { exitCode, ended, printed } = await runToEnd(
      root,
      [`--test-reporter=${reporter}`, `--test-reporter-destination=${report}`, join(root, path)],
      limits,
    );
    const tests = readReport(report);
    const expectedCode = tests.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
    const problem = exitCode !== expectedCode ? ended : tests.length === 0 ? 'holds no test' : undefined;
    return { path, tests, problem, printed: printed.trim(), durationMs: performance.now() - startedMs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface End {
  /** Undefined: it was ended by a signal. */
  readonly exitCode: number | undefined;
  /** How it ended, in words. */
  readonly ended: string;
  readonly printed: string;
}

/** As in the launcher: to compile it anew takes each test file, and each program that it starts, about a second. */
const compiledCode = '.cache/compiled';

/** A process that a test left behind may hold the pipes open; the file itself is over then. */
const pipesStayOpenMs = 500;

function runToEnd(root: string, args: readonly string[], { timeoutMs, graceMs }: FileLimits): Promise<End> {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const env = { NODE_COMPILE_CACHE: join(root, compiledCode), ...inherited };
  const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid } = child;
  if (pid === undefined) return new Promise((_resolve, reject) => child.once('error', reject));
  running.add(pid);
  let printed = '';
  let late = false;
  const keep = (chunk: Buffer): void => void (printed += chunk.toString());
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const polite = setTimeout(() => {
    late = true;
    signalGroup(pid, 'SIGTERM');
  }, timeoutMs);
  const firm = setTimeout(() => signalGroup(pid, 'SIGKILL'), timeoutMs + graceMs);
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      clearTimeout(polite);
      clearTimeout(firm);
      running.delete(pid);
      if (late) signalGroup(pid, 'SIGKILL');
      const ended = late ? `did not end within ${timeoutMs / 1000} s` : `ended with ${signal ?? `exit code ${code}`}`;
      const end = (): void => {
        clearTimeout(impatient);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ exitCode: late ? undefined : (code ?? undefined), ended, printed });
      };
      const impatient = setTimeout(end, pipesStayOpenMs);
      child.once('close', end);
    });
  });
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function readReport(path: string): TestLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  // The last line is cut off when the process was killed.
  const whole = text.split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as TestLine);
}
