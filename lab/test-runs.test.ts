import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Steps } from './steps.ts';
import { abandoned } from './test-labs.ts';
import { parseTotals } from './test.ts';

describe('test labs', () => {
  it('are abandoned when their process is gone, and nothing else is', () => {
    const names = ['demo', 't12', 't12b', 't34', 'test', 't', 't12', 'tenant1'];
    assert.deepEqual(
      abandoned(names, (pid) => pid === 34),
      ['t12', 't12b'],
    );
  });
});

describe('closing line', () => {
  it('is read alone on its line only', () => {
    assert.deepEqual(parseTotals('12 passed, 3 failed'), { passed: 12, failed: 3 });
    assert.equal(parseTotals('unit: 12 passed, 3 failed'), undefined);
  });
});

describe('steps', () => {
  it('show what was done and what failed', async () => {
    const shown: string[] = [];
    const steps = new Steps((text) => shown.push(text.replace(/[0-9]+\.[0-9]+ s/, 'N s').replace(/ +/g, ' ')));
    assert.equal(
      await steps.step(
        'count',
        async () => 3,
        (n) => `${n} found`,
      ),
      3,
    );
    await assert.rejects(
      steps.step('break', () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.deepEqual(shown, [' … count\n', ' ok N s count: 3 found\n', ' … break\n', ' failed N s break\n']);
  });
});
