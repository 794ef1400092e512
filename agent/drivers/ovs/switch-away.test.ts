/** A host whose switch does not answer still tells of itself: its VMs run on, and the manager has to know. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { OvsNetworkDriver } from './driver.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-away-'));
after(() => rmSync(root, { recursive: true, force: true }));

async function toldWithin(socketPath: string): Promise<number> {
  const driver = new OvsNetworkDriver({ socketPath, tunnelAddress: '10.0.0.1/24' });
  const from = performance.now();
  const [report, versions] = await Promise.all([driver.report(), driver.versions()]);
  const tookMs = performance.now() - from;
  await driver.close();
  assert.deepEqual(report, { tunnelAddress: '10.0.0.1', nics: [], uplinks: [] });
  assert.deepEqual(versions, {});
  return tookMs;
}

it('without a switch only what is known without it is told, and soon', { timeout: 60_000 }, async () => {
  assert.ok((await toldWithin(join(root, 'nobody.sock'))) < 4000);
  const hanging = createServer(() => {});
  after(() => hanging.close());
  const path = join(root, 'hanging.sock');
  await new Promise<void>((resolve) => hanging.listen(path, resolve));
  assert.ok((await toldWithin(path)) < 4000);
});
