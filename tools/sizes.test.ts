import assert from 'node:assert/strict';
import { it } from 'node:test';
import { findLargeFiles } from './sizes.ts';
import { tree } from './testing/tree.ts';

const lines = (count: number): string => 'x\n'.repeat(count);

it('refuses files over 600 lines and names those over 300, longest first', (test) => {
  const root = tree(test, {
    'a/right.ts': lines(300),
    'a/long.ts': lines(301),
    'a/longer.test.ts': lines(600),
    'a/refused.tsx': lines(601),
    'no-final-newline.sh': `${lines(600)}x`,
    kvasir: lines(700),
  });
  assert.deepEqual(findLargeFiles(root), {
    problems: [
      'kvasir: 700 lines, more than 600',
      'a/refused.tsx: 601 lines, more than 600',
      'no-final-newline.sh: 601 lines, more than 600',
    ],
    warnings: ['a/longer.test.ts: 600 lines, more than 300', 'a/long.ts: 301 lines, more than 300'],
  });
});

it('leaves alone what is generated, installed or no source', (test) => {
  const root = tree(test, {
    'api/openapi.json': lines(9000),
    'docs/guide.md': lines(900),
    'node_modules/x/index.js': lines(900),
    'console/dist/bundle.js': lines(900),
    'empty.ts': '',
  });
  assert.deepEqual(findLargeFiles(root), { problems: [], warnings: [] });
});
