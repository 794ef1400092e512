/** Secrets: from a file, from stdin, or typed without echo. Never from the command line, which every process can read. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { readAll, type Surroundings } from './surroundings.ts';
import { UsageError } from './usage-error.ts';
import { readFileText } from './values.ts';

export type ReadSecret = (label: string, file: string | undefined, chosen?: boolean) => Promise<string>;

/**
 * Of one command. `file` undefined: asks on a terminal, else takes a line of stdin; a second secret takes the next line.
 * One trailing newline is not part of it. What is `chosen` now and typed blindly is asked for twice.
 */
export function secretReader(around: Surroundings): ReadSecret {
  let stdin: Promise<string[]> | undefined;
  return async (label, file, chosen = false) => {
    if (file !== undefined && file !== '-') return linesOf(await readFileText(file))[0] ?? '';
    if (file === undefined && around.stdin.isTTY) {
      const typed = await ask(label, around);
      if (chosen && (await ask(`${label} again`, around)) !== typed) {
        throw new UsageError(
          `the ${label.replaceAll('-', ' ')} was typed differently the second time; nothing was changed`,
        );
      }
      return typed;
    }
    stdin ??= readAll(around.stdin).then(linesOf);
    const text = (await stdin).shift() ?? '';
    if (text === '') throw new UsageError(`a ${label} is needed: on stdin, or with --${label}-file FILE`);
    return text;
  };
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/);
}

async function ask(label: string, around: Surroundings): Promise<string> {
  around.stderr.write(`${label.replaceAll('-', ' ')}: `);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: around.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => reject(new DOMException('interrupted', 'AbortError')));
      lines.once('close', () => reject(new DOMException('interrupted', 'AbortError')));
    });
  } finally {
    lines.close();
    around.stderr.write('\n');
  }
}
