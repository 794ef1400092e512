/** Runs one command line to its exit code: 0 done, 1 refused or failed, 2 wrong command line, 130 interrupted. */
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
    if (words.length === 0 || words[0] === 'help') {
      around.stdout.write(frontPage());
      return 0;
    }
    const program = await buildProgram(words, around);
    await program.parseAsync([...words], { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own line already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { line, exitCode } = describeError(error);
    if (line !== undefined) around.stderr.write(`error: ${line.replace(/\s*\n\s*/g, ' ')}\n`);
    return exitCode;
  }
}
