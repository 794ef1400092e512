/** The keeper's program where its surroundings fail it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { KeeperFile } from './lease/keeper-file.ts';
import { type FromAgent, type FromKeeper, readMessages, writeMessage } from './lease/keeper-socket.ts';
import { keeperSocket } from './lease/run-files.ts';
import { leaseFileName } from './lease/file-store.ts';
import { decodeSlot, slotBytes } from './lease/record.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-keeper-'));
after(() => rmSync(root, { recursive: true, force: true }));

it('a keeper goes on renewing when the disk of its log and the memory of /run are full', {
  timeout: 60_000,
}, async () => {
  const poolId = randomUUID();
  const hostId = randomUUID();
  const path = join(root, 'pool');
  const run = join(root, 'run');
  for (const directory of [path, run, join(root, 'vms')]) mkdirSync(directory);
  writeFileSync(join(path, '.kvasir-pool'), poolId);
  const terms = { renewEveryMs: 250, killAfterMs: 6000, leaseMs: 10_000 };
  const file: KeeperFile = {
    ...{ hostId, address: '127.0.0.1', specsDirectory: join(root, 'vms') },
    ...{ watchdogDevice: null, watchdogTimeoutMs: null, uplinks: [] },
    plan: { generation: 1, ...terms, pools: [{ poolId, slot: 0 }], peers: [], probePort: null, probeKey: null },
    places: [{ poolId, path }],
  };
  writeFileSync(join(root, 'keeper.json'), JSON.stringify(file));
  const full = openSync('/dev/full', 'w');
  const program = [join(import.meta.dirname, 'keeper.ts'), '--file', join(root, 'keeper.json'), '--run', run];
  const keeper = spawn(process.execPath, program, { stdio: ['ignore', full, full] });
  closeSync(full);
  after(() => keeper.kill('SIGKILL'));
  const counter = (): number => {
    const lease = join(path, leaseFileName);
    const slot = existsSync(lease) ? decodeSlot(readFileSync(lease).subarray(0, slotBytes)) : undefined;
    return slot?.kind === 'record' ? slot.record.counter : 0;
  };
  const renewedTo = async (wanted: number): Promise<void> => {
    while (counter() < wanted && keeper.exitCode === null) await delay(20);
    assert.equal(keeper.exitCode, null);
  };
  await renewedTo(2);
  // What cannot be written, as on a file system that is full.
  mkdirSync(join(run, `keeper-${hostId}.json.new`));
  await renewedTo(counter() + 4);
});

it('a keeper takes what it knows of an agent of another release, and leaves out the rest', {
  timeout: 60_000,
}, async () => {
  const hostId = randomUUID();
  const run = mkdtempSync(join(root, 'run-'));
  const path = join(run, 'keeper.json');
  const file: KeeperFile & { readonly newer: string } = {
    ...{ hostId, address: '127.0.0.1', specsDirectory: join(root, 'vms'), newer: 'word' },
    ...{ watchdogDevice: null, watchdogTimeoutMs: null, uplinks: [], plan: null, places: [] },
  };
  writeFileSync(path, JSON.stringify(file));
  const program = [join(import.meta.dirname, 'keeper.ts'), '--file', path, '--run', run];
  const keeper = spawn(process.execPath, program, { stdio: 'ignore' });
  after(() => keeper.kill('SIGKILL'));
  const where = keeperSocket(run, hostId);
  while (!existsSync(where) && keeper.exitCode === null) await delay(20);
  assert.equal(keeper.exitCode, null);
  const socket = connect(where);
  after(() => socket.destroy());
  const answers: (string | null)[] = [];
  readMessages<FromKeeper>(socket, (message) => void (message.kind === 'reloaded' && answers.push(message.error)));
  const ask = (kind: string): void => writeMessage(socket, { kind } as unknown as FromAgent);
  ask('of another release');
  writeFileSync(path, JSON.stringify({ ...file, places: 'of another release' }));
  ask('reload');
  while (answers.length === 0) await delay(20);
  assert.match(String(answers[0]), /is not what the agent wrote$/);
  writeFileSync(path, JSON.stringify(file));
  ask('reload');
  while (answers.length === 1) await delay(20);
  assert.deepEqual(answers.slice(1), [null]);
});
