/** The power switch reads how a BMC behaves ten times a second, while others change it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { bmcMode, setBmcMode } from './bmc.ts';
import { hostLayout, labLayout } from './layout.ts';

it('a mode that is changed while it is read is the one before or the one after', { timeout: 30_000 }, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'kvasir-bmc-'));
  const lab = labLayout('bmc', parent);
  mkdirSync(hostLayout(lab, 'h1').control, { recursive: true });
  const program = `import { setBmcMode } from ${JSON.stringify(join(import.meta.dirname, 'bmc.ts'))};
    import { labLayout } from ${JSON.stringify(join(import.meta.dirname, 'layout.ts'))};
    const lab = labLayout('bmc', ${JSON.stringify(parent)});
    process.stdout.write('begins');
    for (;;) for (const mode of ['lies', 'slow', 'ok', 'lies', 'slow']) setBmcMode(lab, 'h1', mode);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(other.stdout, 'data');
    for (let read = 0; read < 20_000; read += 1) bmcMode(lab, 'h1');
  } finally {
    other.kill('SIGKILL');
    await once(other, 'exit');
    rmSync(parent, { recursive: true });
  }
});

it('a mode is what was set last', () => {
  const parent = mkdtempSync(join(tmpdir(), 'kvasir-bmc-'));
  const lab = labLayout('bmc', parent);
  mkdirSync(hostLayout(lab, 'h1').control, { recursive: true });
  try {
    assert.equal(bmcMode(lab, 'h1'), 'ok');
    for (const mode of ['slow', 'broken', 'lies', 'ok'] as const) {
      setBmcMode(lab, 'h1', mode);
      assert.equal(bmcMode(lab, 'h1'), mode);
    }
  } finally {
    rmSync(parent, { recursive: true });
  }
});
