import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { systemGoesDown } from './system-shutdown.ts';

const directory = mkdtempSync(join(tmpdir(), 'kvasir-shutdown-'));
after(() => rmSync(directory, { recursive: true }));

function says(word: string, exitCode: number): string {
  const path = join(directory, word);
  writeFileSync(path, `#!/bin/sh\n[ "$1" = is-system-running ] && echo ${word}\nexit ${exitCode}\n`, { mode: 0o755 });
  return path;
}

it('the system goes down when systemd says so, and in no other case', async () => {
  assert.equal(await systemGoesDown(says('stopping', 1)), true);
  assert.equal(await systemGoesDown(says('running', 0)), false);
  assert.equal(await systemGoesDown(says('degraded', 1)), false);
  assert.equal(await systemGoesDown(join(directory, 'no-such-program')), false);
});
