/** Runs one command line to its exit code: 0 done, 1 refused or failed, 2 wrong command line, 130 interrupted. */
import { readFile } from 'node:fs/promises';
import { CommanderError } from 'commander';
import { frontPage } from './front-page.ts';
import { buildProgram } from './program.ts';
import { describeError } from './report-error.ts';
import type { Surroundings } from './surroundings.ts';

export async function run(words: readonly string[], around: Surroundings): Promise<number> {
  try {
    if (words[0] === '__complete') {
      await (await import('./commands/completion.ts')).complete(words.slice(1), around);
      return 0;
    }
    const [first, ...rest] = words;
    if (first === undefined || (first === 'help' && rest.length === 0)) {
      around.stdout.write(frontPage());
      return 0;
    }
    if (first === '--version' || first === 'version') {
      around.stdout.write(`kvasir ${await version()}\n`);
      return 0;
    }
    const asked = first === 'help' ? [...rest, '--help'] : words;
    const program = await buildProgram(asked, around);
    await program.parseAsync([...asked], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own line already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { line, exitCode } = describeError(error);
    if (line !== undefined) around.stderr.write(`error: ${line.replace(/\s*\n\s*/g, ' ')}\n`);
    return exitCode;
  }
}

async function version(): Promise<string> {
  const text = await readFile(new URL('package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
