import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { isOtherForm, type KeeperFile, readKeeperFile, writeKeeperFile } from './keeper-file.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-file-'));
after(() => rmSync(root, { recursive: true, force: true }));

const poolId = randomUUID();
const terms = { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 };
const file: KeeperFile = {
  ...{ hostId: 'h1', address: '127.0.0.1', specsDirectory: '/vms', watchdogDevice: null, watchdogTimeoutMs: null },
  uplinks: ['eth0'],
  plan: { generation: 3, ...terms, pools: [{ poolId, slot: 0 }], peers: [], probePort: null, probeKey: null },
  places: [{ poolId, path: '/pool' }],
};

it('what a newer agent writes beside what is known is left out, at any depth', async () => {
  const path = join(root, 'newer.json');
  const plan = { ...file.plan, pools: [{ poolId, slot: 0, newer: [1] }], newer: { a: 1 } };
  writeFileSync(path, JSON.stringify({ ...file, plan, places: [{ poolId, path: '/pool', newer: 1 }], newer: 'x' }));
  assert.deepEqual(await readKeeperFile(path), file);
});

it('a file that lacks what is needed is refused, in words that agents of all releases know', async () => {
  const path = join(root, 'other.json');
  const { leaseMs: _missing, ...plan } = file.plan!;
  writeFileSync(path, JSON.stringify({ ...file, plan }));
  const error: unknown = await readKeeperFile(path).catch((thrown: unknown) => thrown);
  assert.equal(String(error), `Error: ${path} is not what the agent wrote`);
  assert.ok(isOtherForm(String(error)));
  assert.ok(!isOtherForm('Error: EIO: i/o error, read'));
});

it('what could not be read again is not written', async () => {
  const path = join(root, 'kept.json');
  await writeKeeperFile(path, file);
  const wrong = { ...file, plan: { ...file.plan!, leaseMs: 1 } };
  await assert.rejects(writeKeeperFile(path, wrong), /cannot read/);
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), file);
});
