import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { packages, tree } from './testing/tree.ts';
import { type TestTotals, unitTestFiles } from './unit-tests.ts';

/** The runner cannot run inside itself, so a program of its own does it. */
async function runIn(root: string): Promise<TestTotals> {
  const program = `
    import { runUnitTests, unitTestFiles } from ${JSON.stringify(import.meta.resolve('./unit-tests.ts'))};
    const root = ${JSON.stringify(root)};
    console.log(JSON.stringify(await runUnitTests(root, unitTestFiles(root))));`;
  const path = join(root, 'run.mjs');
  writeFileSync(path, program);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, [path], { env });
  return JSON.parse(stdout) as TestTotals;
}

it('finds the tests of every workspace but e2e', (test) => {
  const root = tree(test, {
    ...packages({ api: {}, e2e: {} }),
    'api/a.test.ts': '',
    'api/deep/b.test.ts': '',
    'api/b.ts': '',
    'e2e/c.test.ts': '',
    'stray.test.ts': '',
  });
  assert.deepEqual(unitTestFiles(root), ['api/a.test.ts', 'api/deep/b.test.ts']);
});

it('counts passes and failures, takes a skipped test for a failure, and shows what went wrong', async (test) => {
  const root = tree(test, {
    ...packages({ api: {} }),
    'api/a.test.ts': `
      import assert from 'node:assert';
      import { describe, it } from 'node:test';
      it('passes', () => {});
      it.skip('is left out', () => {});
      it.todo('is promised');
      describe('suite', () => {
        it('passes inside', () => {});
        it('fails inside', () => assert.equal(1, 2));
      });
      describe.skip('suite left out', () => { it('x', () => {}); });
      console.log('word from the file');`,
    'api/broken.test.ts': `import './missing.ts';`,
  });
  const { passed, failed, failures } = await runIn(root);
  assert.deepEqual({ passed, failed }, { passed: 2, failed: 5 });
  const all = failures.join('\n');
  for (const expected of [
    /api\/a\.test\.ts:5: is left out\nwas skipped/,
    /is promised\nis marked as still to do/,
    /fails inside\nAssertionError.*1 == 2/,
    /suite left out\nwas skipped/,
    /api\/a\.test\.ts printed:\nword from the file/,
    /broken\.test\.ts.*\n/,
    /Cannot find module/,
  ]) {
    assert.match(all, expected);
  }
});

it('reports a run where all is well', async (test) => {
  const root = tree(test, {
    ...packages({ api: {} }),
    'api/a.test.ts': `import { it } from 'node:test'; it('passes', () => {});`,
  });
  const { passed, failed, failures } = await runIn(root);
  assert.deepEqual({ passed, failed, failures }, { passed: 1, failed: 0, failures: [] });
});
