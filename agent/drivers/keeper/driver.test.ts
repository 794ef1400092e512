/** The driver with a keeper as a process of this machine. Most of what it keeps is in the contract of the liveness drivers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import { type FromAgent, type FromKeeper, readMessages, writeMessage } from '../../lease/keeper-socket.ts';
import { keeperSocket } from '../../lease/run-files.ts';
import { holdName } from '../../only-one.ts';
import { KeeperDriver } from './driver.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-'));
after(() => rmSync(root, { recursive: true, force: true }));

const terms = { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 };

function planOf(poolId: string): LivenessPlan {
  return { generation: 1, ...terms, pools: [{ poolId, slot: 0 }], peers: [], probePort: null, probeKey: null };
}

function driverOf(hostId: string, directory = root): KeeperDriver {
  return new KeeperDriver({
    hostId,
    address: '127.0.0.1',
    directory,
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

/** What takes the keeper's place: no other one starts. Answers what it heard, and how to speak. */
async function standIn(hostId: string, connected: (socket: Socket) => void, heard: (message: FromAgent) => void) {
  mkdirSync(join(root, 'run'), { recursive: true });
  const release = await holdName(`kvasir-keeper-${hostId}`, 'taken');
  const sockets: Socket[] = [];
  const keeper = createServer((socket) => {
    sockets.push(socket);
    readMessages<FromAgent>(socket, heard);
    connected(socket);
  });
  await new Promise<void>((resolve) => keeper.listen(keeperSocket(join(root, 'run'), hostId), resolve));
  const close = (): void => {
    keeper.close();
    release();
  };
  return { sockets, close };
}

it('a keeper of another release that cannot read its file is asked to end, and one that could not read it just now is not', async () => {
  const hostId = randomUUID();
  const heard: string[] = [];
  let error = 'Error: EIO: i/o error, read';
  const { sockets, close } = await standIn(
    hostId,
    () => {},
    ({ kind }) => {
      heard.push(kind);
      if (kind === 'reload') writeMessage(sockets.at(-1)!, { kind: 'reloaded', error });
    },
  );
  const driver = driverOf(hostId, mkdtempSync(join(root, 'asked-')));
  await driver.open();
  await driver.apply(planOf(randomUUID()), []);
  while (heard.length === 0) await delay(10);
  await assert.rejects(driver.apply(planOf(randomUUID()), []), /EIO/);
  assert.deepEqual(heard, ['reload', 'reload']);
  error = `Error: ${join(root, 'keeper.json')} is not what the agent wrote`;
  const applied = driver.apply(planOf(randomUUID()), []);
  while (!heard.includes('stop')) await delay(10);
  sockets.at(-1)!.destroy();
  // The keeper that follows reads the file as it starts.
  await applied;
  await driver.close();
  close();
});

it('what a keeper of another release says is brought into the form of this one, or left out', async () => {
  const hostId = randomUUID();
  const liveness = { bootId: 'boot', guard: 'watchdog', own: [], seen: [], peers: [], uplinks: [] } as const;
  const from = (message: object): FromKeeper => message as FromKeeper;
  const { sockets, close } = await standIn(
    hostId,
    () => {},
    () => {},
  );
  const driver = driverOf(hostId);
  const events: string[] = [];
  driver.watch(({ kind }) => events.push(kind));
  await driver.open();
  void driver.apply(planOf(randomUUID()), []);
  while (sockets.length === 0) await delay(10);
  const say = (message: object) => writeMessage(sockets.at(-1)!, from(message));
  const { uplinks: _missing, ...older } = { ...liveness, bootId: 'older' };
  say({ kind: 'status', generation: 1, liveness: { ...liveness, newer: 1 }, newer: 2 });
  say({ kind: 'status', generation: 1, liveness: older });
  say({ kind: 'of another release' });
  say({ kind: 'event', event: { kind: 'of another release' } });
  say({ kind: 'event', event: { kind: 'storage-back', poolId: 'pool' } });
  while (!events.includes('storage-back')) await delay(10);
  assert.deepEqual(events, ['storage-back']);
  assert.deepEqual(driver.report(), liveness);
  await driver.close();
  close();
});

it('a file of another release that cannot be read is left to its keeper, and nothing starts before there is a new plan', async () => {
  const hostId = randomUUID();
  const directory = join(root, 'of-another-release');
  mkdirSync(directory);
  const path = join(directory, 'keeper.json');
  writeFileSync(path, '{"hostId":"h","plan":{"kind":"of another release"}}');
  const driver = driverOf(hostId, directory);
  await driver.open();
  await driver.serve([]);
  assert.match(readFileSync(path, 'utf8'), /of another release/);
  const poolId = randomUUID();
  assert.equal(driver.leaseOf(poolId), 'lost');
  const { sockets, close } = await standIn(
    hostId,
    (socket) => writeMessage(socket, { kind: 'reloaded', error: null }),
    () => {},
  );
  await driver.apply({ ...planOf(poolId), pools: [] }, []);
  assert.equal(driver.leaseOf(poolId), 'none');
  assert.match(readFileSync(path, 'utf8'), /"generation":1/);
  await driver.close();
  for (const socket of sockets) socket.destroy();
  close();
});

it('a VM that was started anew while the keeper was not heard does not count as ended when it is heard again', async () => {
  const hostId = randomUUID();
  const ended = new Set(['first', 'second']);
  const { sockets, close } = await standIn(
    hostId,
    (socket) => writeMessage(socket, { kind: 'ended', vmIds: [...ended] }),
    (message) => void (message.kind === 'forget' && ended.delete(message.vmId)),
  );
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
  close();
});
