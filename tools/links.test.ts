import assert from 'node:assert/strict';
import { it } from 'node:test';
import { findBrokenLinks } from './links.ts';
import { tree } from './testing/tree.ts';

it('finds links to files and headings that are not there', (test) => {
  const root = tree(test, {
    'README.md': '[a](docs/a.md) [gone](docs/gone.md)\n[b](docs/a.md#two-words) [c](docs/a.md#three)\n[self](#here)',
    'docs/a.md':
      '# A\n## Two words!\n```\n## three\n[code](gone.md)\n```\n[up](../README.md) [web](https://example.org/x) [d](sub/)',
    'docs/sub/x.md': '[one](../a.md)',
  });
  assert.deepEqual(findBrokenLinks(root), [
    'README.md:1: docs/gone.md: is not there',
    'README.md:2: docs/a.md#three: has no such heading',
    'README.md:3: #here: has no such heading',
  ]);
});
