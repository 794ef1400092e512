/** The forwarder of a lab, on real network namespaces. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { buildFabric } from './fabric.ts';
import { labLayout } from './layout.ts';
import { startForwarder } from './manager-process.ts';
import { isRunning, processesInNetworkNamespace } from './processes.ts';
import { tearDownLab } from './tear-down.ts';
import { testLabName } from './test-labs.ts';

it('a forwarder that no record knows gives way to one that a record will know', { timeout: 60_000 }, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'kvasir-lab-'));
  const lab = labLayout(testLabName('f'), parent);
  mkdirSync(lab.directory);
  try {
    await buildFabric(lab);
    const unknown = await startForwarder(lab, undefined);
    const known = await startForwarder(lab, undefined);
    assert.equal(isRunning(unknown), false);
    assert.deepEqual(processesInNetworkNamespace(lab.fabricNamespace), [known]);
    assert.deepEqual(await startForwarder(lab, known), known);
    await tearDownLab(lab, () => undefined);
    assert.equal(isRunning(known), false);
  } finally {
    await tearDownLab(lab, () => undefined);
    rmSync(parent, { recursive: true });
  }
});
