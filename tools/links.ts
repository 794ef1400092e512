/** Checks that what our Markdown files link to inside the repository is there, headings included. */
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { filesBelow } from './source-tree.ts';

const link = /\[[^\]]*\]\(([^)\s]+)\)/g;
const elsewhere = /^[a-z]+:/;

/** `file:line: what is wrong`; empty when all is well. */
export function findBrokenLinks(root: string): string[] {
  return filesBelow(root)
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) => brokenLinksIn(root, path));
}

function brokenLinksIn(root: string, path: string): string[] {
  const problems: string[] = [];
  for (const [index, line] of withoutCode(readFileSync(join(root, path), 'utf8')).entries()) {
    for (const [, target = ''] of line.matchAll(link)) {
      if (elsewhere.test(target)) continue;
      const [file = '', heading] = target.split('#');
      const linked = file === '' ? path : posix.join(posix.dirname(path), file);
      const complain = (what: string): void => void problems.push(`${path}:${index + 1}: ${target}: ${what}`);
      if (!existsSync(join(root, linked))) complain('is not there');
      else if (heading !== undefined && !headingsOf(root, linked).includes(heading)) complain('has no such heading');
    }
  }
  return problems;
}

/** The lines, those inside fences empty. */
function withoutCode(text: string): string[] {
  let inside = false;
  return text.split('\n').map((line) => {
    const fence = line.startsWith('```');
    if (fence) inside = !inside;
    return fence || inside ? '' : line;
  });
}

/** Anchors as GitHub makes them. */
function headingsOf(root: string, path: string): string[] {
  return withoutCode(readFileSync(join(root, path), 'utf8'))
    .filter((line) => /^#+ /.test(line))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    );
}
