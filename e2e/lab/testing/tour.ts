/**
 * The README's tour as something to run: its `console` blocks, each command with the output printed below it. Both a test
 * and the program that writes the README's output use it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt } from '@kvasir/lab/command.ts';
import { checkoutDirectory } from '@kvasir/lab/layout.ts';

export interface TourStep {
  readonly command: string;
  /** What the README shows below it. */
  readonly output: string;
  /** Offset of the output in the text, for writing it anew. */
  readonly start: number;
  readonly end: number;
}

/** Steps of all `console` blocks, in order. */
export function tourSteps(readme: string): TourStep[] {
  const steps: TourStep[] = [];
  for (const block of readme.matchAll(/^```console\n([\s\S]*?)^```/gm)) {
    const blockStart = block.index + '```console\n'.length;
    const text = block[1] ?? '';
    const commands = [...text.matchAll(/^\$ (.*)\n/gm)];
    commands.forEach((match, index) => {
      const start = match.index + match[0].length;
      const end = commands[index + 1]?.index ?? text.length;
      steps.push({
        command: match[1] ?? '',
        output: text.slice(start, end),
        start: blockStart + start,
        end: blockStart + end,
      });
    });
  }
  return steps;
}

/** What differs from run to run reads the same: ids, times, addresses, hosts, sizes and the width of columns. */
export function normalized(output: string): string[] {
  return output
    .split('\n')
    .map((line) =>
      line
        .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'ID')
        .replace(/\b[0-9a-f]{8}\b/g, 'ID')
        .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, 'MAC')
        .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ/g, 'TIME')
        .replace(/\bh\d\b/g, 'HOST')
        .replace(/\d+(\.\d+)?/g, 'N')
        // Short moves may end before it is measured.
        .replace(/, downtime N ms$/, '')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}

/** Runs the tour's commands with a login and a lab of its own, so that a demo of the machine's user goes on undisturbed. */
export class Tour {
  readonly #labName: string;
  readonly #configDirectory = mkdtempSync(join(tmpdir(), 'kvasir-tour-'));

  constructor(labName: string) {
    this.#labName = labName;
  }

  /** What a person sees: results, and the line of an error; not the progress. */
  async run(command: string): Promise<{ readonly output: string; readonly exitCode: number }> {
    const words = command.split(' ');
    const own = words[1] === 'lab' || words[1] === 'demo' ? ['--name', this.#labName] : [];
    const result = await attempt([...words, ...own], {
      cwd: checkoutDirectory,
      timeoutMs: 240_000,
      env: { ...process.env, KVASIR_CONFIG: join(this.#configDirectory, 'config.json') },
    });
    const error = result.stderr.split('\n').filter((line) => line.startsWith('error:'));
    const output = `${result.stdout}${error.map((line) => `${line}\n`).join('')}`;
    return { output: output.replaceAll(this.#labName, 'demo'), exitCode: result.exitCode };
  }

  async end(): Promise<void> {
    await this.run('./kvasir demo --stop');
    rmSync(this.#configDirectory, { recursive: true, force: true });
  }
}
