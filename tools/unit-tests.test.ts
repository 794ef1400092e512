import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { packages, tree } from './testing/tree.ts';
import { runUnitTests, unitTestFiles } from './unit-tests.ts';

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
  const { passed, failed, failures } = await runUnitTests(root, unitTestFiles(root));
  assert.deepEqual({ passed, failed }, { passed: 2, failed: 5 });
  const all = failures.join('\n');
  for (const expected of [
    /api\/a\.test\.ts:5: is left out\nis marked as skipped/,
    /is promised\nis marked as to do/,
    /fails inside\nAssertionError.*1 == 2/,
    /suite left out\nis marked as skipped/,
    /api\/a\.test\.ts printed:\nword from the file/,
    /api\/broken\.test\.ts: ended with exit code 1/,
    /Cannot find module/,
  ]) {
    assert.match(all, expected);
  }
});

it('takes errors that no test has caught for failures, and shows them', async (test) => {
  const root = tree(test, {
    ...packages({ api: {} }),
    'api/late.test.ts': `
      import { it } from 'node:test';
      it('is over before it happens', () => {
        setTimeout(() => { throw new Error('thrown late'); });
        setTimeout(() => Promise.reject(new Error('rejected late')), 5);
      });
      it('passes after it', () => new Promise((resolve) => setTimeout(resolve, 50)));`,
  });
  const { passed, failed, failures } = await runUnitTests(root, unitTestFiles(root));
  assert.deepEqual({ passed, failed }, { passed: 2, failed: 2 });
  const all = failures.join('\n');
  for (const expected of [/late\.test\.ts:0: an error/, /Error: thrown late/, /Error: rejected late/]) {
    assert.match(all, expected);
  }
});

it('reports a run where all is well', async (test) => {
  const root = tree(test, {
    ...packages({ api: {} }),
    'api/a.test.ts': `import { it } from 'node:test'; it('passes', () => {});`,
  });
  const { passed, failed, failures } = await runUnitTests(root, unitTestFiles(root));
  assert.deepEqual({ passed, failed, failures }, { passed: 1, failed: 0, failures: [] });
});

it('ends a file that never ends, whatever it starts, and keeps what its tests said before', async (test) => {
  const root = tree(test, {
    ...packages({ api: {} }),
    'api/busy.test.ts': `
      import { spawn } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      import { it } from 'node:test';
      it('passes', () => {});
      process.on('SIGTERM', () => {});
      it('hangs', async () => {
        const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
        writeFileSync('sleep.pid', String(child.pid));
        await new Promise((resolve) => setTimeout(resolve, 500));
        for (;;);
      });`,
    'api/empty.test.ts': '',
  });
  const { passed, failed, failures } = await runUnitTests(root, unitTestFiles(root), { timeoutMs: 5000, graceMs: 100 });
  assert.deepEqual(
    { passed, failed, failures },
    {
      passed: 1,
      failed: 2,
      failures: ['api/busy.test.ts: did not end within 5 s', 'api/empty.test.ts: holds no test'],
    },
  );
  const pid = Number(readFileSync(join(root, 'sleep.pid'), 'utf8'));
  assert.equal(existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')), false);
});
