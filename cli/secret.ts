/** Secrets: from a file, from stdin, or typed without echo. Never from the command line, which every process can read. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { readAll, type Surroundings } from './surroundings.ts';
import { UsageError } from './usage-error.ts';
import { readFileText } from './values.ts';

/** `file` undefined: ask on a terminal, else take the first line of stdin. One trailing newline is not part of it. */
export async function readSecret(label: string, file: string | undefined, around: Surroundings): Promise<string> {
  if (file !== undefined && file !== '-') return firstLine(await readFileText(file));
  if (file === undefined && around.stdin.isTTY) return ask(label, around);
  const text = firstLine(await readAll(around.stdin));
  if (text === '') throw new UsageError(`a ${label} is needed: on stdin, or with --${label}-file FILE`);
  return text;
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? '';
}

async function ask(label: string, around: Surroundings): Promise<string> {
  around.stderr.write(`${label}: `);
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
