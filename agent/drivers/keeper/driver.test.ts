/** The driver with a keeper as a process of this machine. Most of what it keeps is in the contract of the liveness drivers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { KeeperDriver } from './driver.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-'));
after(() => rmSync(root, { recursive: true, force: true }));

it('an agent that has let go of its keeper can still have it take its promises back and end', async () => {
  const poolId = randomUUID();
  const place = { poolId, path: join(root, 'pool') };
  mkdirSync(place.path);
  mkdirSync(join(root, 'vms'));
  writeFileSync(join(place.path, '.kvasir-pool'), poolId);
  const make = (): KeeperDriver =>
    new KeeperDriver({
      hostId: randomUUID(),
      address: '127.0.0.1',
      directory: root,
      specsDirectory: join(root, 'vms'),
      runDirectory: join(root, 'run'),
      watchdogDevice: null,
      watchdogTimeoutMs: null,
      uplinks: [],
      hypervisorSocket: join(root, 'libvirt.sock'),
      log: () => {},
    });
  const driver = make();
  await driver.open();
  const terms = { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 };
  const plan = { generation: 1, ...terms, pools: [{ poolId, slot: 0 }], peers: [], probePort: null, probeKey: null };
  await driver.apply(plan, [place]);
  while (driver.leaseOf(poolId) !== 'held') await delay(20);
  await driver.close();
  await delay(100);
  assert.equal(await driver.end(10_000), true);
  // Nobody listens any more: there is nothing left to be ended, but a watchdog may run.
  assert.equal(await driver.end(10_000), false);
});
