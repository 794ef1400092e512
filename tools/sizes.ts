/** Keeps files readable: one thing a file, near 150 lines; above 300 it is named, above 600 refused. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow } from './source-tree.ts';

export const longLines = 300;
export const refusedLines = 600;

const sourceFile = /\.(tsx?|m?js|py|c|h|sh|sql|css)$/;
/** Source without an ending. */
const launcher = 'kvasir';

export interface SizeFindings {
  /** Files above the limit. */
  readonly problems: string[];
  /** Files that are long, the longest first. */
  readonly warnings: string[];
}

export function findLargeFiles(root: string): SizeFindings {
  const sized = filesBelow(root)
    .filter((path) => sourceFile.test(path) || path === launcher)
    .map((path) => ({ path, lines: countLines(readFileSync(join(root, path), 'utf8')) }))
    .filter(({ lines }) => lines > longLines)
    .sort((a, b) => b.lines - a.lines);
  const say = ({ path, lines }: { path: string; lines: number }, limit: number): string =>
    `${path}: ${lines} lines, more than ${limit}`;
  return {
    problems: sized.filter(({ lines }) => lines > refusedLines).map((file) => say(file, refusedLines)),
    warnings: sized.filter(({ lines }) => lines <= refusedLines).map((file) => say(file, longLines)),
  };
}

function countLines(text: string): number {
  return text === '' ? 0 : text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}
