/** The driver with a keeper as a process of this machine. Most of what it keeps is in the contract of the liveness drivers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { type FromAgent, readMessages, writeMessage } from '../../lease/keeper-socket.ts';
import { keeperSocket } from '../../lease/run-files.ts';
import { holdName } from '../../only-one.ts';
import { KeeperDriver } from './driver.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-'));
after(() => rmSync(root, { recursive: true, force: true }));

const terms = { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 };

function planOf(poolId: string): LivenessPlan {
  return { generation: 1, ...terms, pools: [{ poolId, slot: 0 }], peers: [], probePort: null, probeKey: null };
}

function driverOf(hostId: string): KeeperDriver {
  return new KeeperDriver({
    hostId,
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
}

it('an agent that has let go of its keeper can still have it take its promises back and end', async () => {
  const poolId = randomUUID();
  const place = { poolId, path: join(root, 'pool') };
  mkdirSync(place.path);
  mkdirSync(join(root, 'vms'));
  writeFileSync(join(place.path, '.kvasir-pool'), poolId);
  const driver = driverOf(randomUUID());
  await driver.open();
  await driver.apply(planOf(poolId), [place]);
  while (driver.leaseOf(poolId) !== 'held') await delay(20);
  await driver.close();
  await delay(100);
  assert.equal(await driver.end(10_000), true);
  // As soon as nobody listens any more there is nothing left to be ended, but a watchdog may run.
  while (await driver.end(10_000)) await delay(20);
});

it('a VM that was started anew while the keeper was not heard does not count as ended when it is heard again', async () => {
  const hostId = randomUUID();
  mkdirSync(join(root, 'run'), { recursive: true });
  // No other keeper starts.
  const release = await holdName(`kvasir-keeper-${hostId}`, 'taken');
  const sockets: Socket[] = [];
  const ended = new Set(['first', 'second']);
  const keeper = createServer((socket) => {
    sockets.push(socket);
    readMessages<FromAgent>(socket, (message) => void (message.kind === 'forget' && ended.delete(message.vmId)));
    writeMessage(socket, { kind: 'ended', vmIds: [...ended] });
  });
  await new Promise<void>((resolve) => keeper.listen(keeperSocket(join(root, 'run'), hostId), resolve));
  const driver = driverOf(hostId);
  await driver.open();
  void driver.apply(planOf(randomUUID()), []);
  while (driver.endedBecause('second') === null) await delay(10);
  sockets[0]!.destroy();
  driver.forget('first');
  while (sockets.length === 1) await delay(10);
  for (const end = performance.now() + 2000; ended.has('first') && performance.now() < end; ) await delay(10);
  assert.deepEqual([...ended], ['second']);
  assert.deepEqual([driver.endedBecause('first'), driver.endedBecause('second')], [null, 'storage lost']);
  await driver.close();
  keeper.close();
  release();
});
