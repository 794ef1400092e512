import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
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

describe('a test run', () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`that is ended by ${signal} takes its test files with it`, { timeout: 60_000 }, async (context) => {
      const folder = mkdtempSync(join(tmpdir(), 'kvasir-test-run-'));
      context.after(() => rmSync(folder, { recursive: true }));
      const [file, pidFile] = [join(folder, 'hangs.e2e.ts'), join(folder, 'pid')];
      const content = [
        `import { renameSync, writeFileSync } from 'node:fs';`,
        `import { it } from 'node:test';`,
        `it('hangs', () => new Promise((resolve) => {`,
        `  setTimeout(resolve, 600_000);`,
        `  writeFileSync(${JSON.stringify(`${pidFile}.new`)}, String(process.pid));`,
        `  renameSync(${JSON.stringify(`${pidFile}.new`)}, ${JSON.stringify(pidFile)});`,
        `}));`,
      ];
      writeFileSync(file, content.join('\n'));
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const program = join(import.meta.dirname, 'testing/play-files.ts');
      const run = spawn(process.execPath, [program, file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
      const over = once(run, 'exit');
      let printed = '';
      run.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
      while (!existsSync(pidFile)) await pause(20);
      const pid = Number(readFileSync(pidFile, 'utf8'));
      context.after(() => existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGKILL'));
      assert.ok(existsSync(`/proc/${pid}`));
      run.kill(signal);
      await over;
      while (existsSync(`/proc/${pid}`)) await pause(20);
      assert.match(printed, /^failed/m);
    });
  }
});
