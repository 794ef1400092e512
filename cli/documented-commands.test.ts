/** Each command that the documentation names is one that the program has, with these options and no more arguments than it takes. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { Command } from 'commander';
import { buildProgram } from './program.ts';

const root = join(import.meta.dirname, '..');
/** Its resource is an invented one. */
const invented = 'docs/adding-a-resource.md';
const files = ['README.md', ...globSync('docs/**/*.md', { cwd: root })].filter((file) => file !== invented).sort();
/** Programs that the launcher starts; they are no commands of the CLI. */
const launched = ['demo', 'lab', 'test', 'manager', 'agent'];

interface Named {
  readonly at: string;
  readonly words: readonly string[];
}

/** Whole lines of code, and what stands in a sentence; a comment behind a command is none of it. */
function commandsOf(file: string): Named[] {
  const launcher = String.raw`(?:\./|/opt/kvasir/)?kvasir `;
  const line = new RegExp(String.raw`^\s*(?:\$ )?${launcher}(.*)$`);
  const inSentence = new RegExp(`\`${launcher}([^\`]+)\``, 'g');
  return readFileSync(join(root, file), 'utf8')
    .split('\n')
    .flatMap((text, index) => {
      const found = [
        ...[line.exec(text)?.[1] ?? ''],
        ...[...text.matchAll(inSentence)].map(([, words]) => words ?? ''),
      ];
      return found.map((each) => ({ at: `${file}:${index + 1}: kvasir ${each}`, words: wordsOf(each) }));
    })
    .filter(({ words: [first] }) => first !== undefined && !launched.includes(first));
}

function wordsOf(text: string): string[] {
  return text.replace(/(^|\s+)#.*$/, '').match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
}

async function complain({ at, words }: Named): Promise<string[]> {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const around = { ...streams, env: {}, interrupted: new AbortController().signal };
  let command: Command = await buildProgram(words, around);
  let rest = [...words];
  while (command.commands.length > 0) {
    const next = command.commands.find((each) => each.name() === rest[0]);
    // A sentence may speak of a whole group.
    if (next === undefined) return rest.length === 0 ? [] : [`${at}: there is no ${rest[0]}`];
    command = next;
    rest = rest.slice(1);
  }
  const problems: string[] = [];
  let given = 0;
  for (let index = 0; index < rest.length; index += 1) {
    const [flag = '', value] = (rest[index] ?? '').split('=', 2);
    if (!flag.startsWith('-') || flag === '-') {
      given += 1;
      continue;
    }
    const option = command.options.find(({ long, short }) => long === flag || short === flag);
    if (option === undefined) problems.push(`${at}: it has no ${flag}`);
    else if (option.required && value === undefined) index += 1;
  }
  if (given > command.registeredArguments.length) problems.push(`${at}: it takes fewer arguments`);
  return problems;
}

describe('documented commands', () => {
  for (const file of files) {
    test(file, async () => {
      assert.deepEqual((await Promise.all(commandsOf(file).map(complain))).flat(), []);
    });
  }

  test('are found', () => {
    assert.ok(files.flatMap(commandsOf).length > 80);
  });
});
