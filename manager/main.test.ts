/** What the manager's program says to a wrong command line; nothing of it starts anything. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

function manager(...words: readonly string[]) {
  return spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...words], { encoding: 'utf8' });
}

test('--help tells the commands', () => {
  const { status, stdout, stderr } = manager('serve', '--help');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /manager serve --data DIR/);
});

test('a wrong command line is told with the usage, not with a stack', () => {
  for (const [words, reason] of [
    [[], '--data DIR is missing'],
    [['serve', '--datta', '/x'], "Unknown option '--datta'"],
    [['frob', '--data', '/x'], 'Unknown command frob'],
  ] as const) {
    const { status, stderr } = manager(...words);
    assert.equal(status, 2, stderr);
    assert.ok(stderr.startsWith(`kvasir manager: ${reason}`), stderr);
    assert.match(stderr, /manager serve --data DIR/);
    assert.doesNotMatch(stderr, /\n {4}at /);
  }
});
