import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { KeeperServer } from './keeper-socket.ts';

const root = mkdtempSync(join(tmpdir(), 'kvasir-socket-'));
after(() => rmSync(root, { recursive: true, force: true }));

it('an agent that takes nothing in is let go of, instead of being remembered for', { timeout: 20_000 }, async () => {
  const path = join(root, 'keeper.sock');
  const server = new KeeperServer(
    path,
    () => {},
    () => {},
  );
  after(() => server.close());
  const hanging = connect(path).pause();
  await once(hanging, 'connect');
  for (let told = 0; told < 100; told += 1) {
    server.tell({ kind: 'ended', vmIds: ['x'.repeat(100_000)] });
    await turn();
  }
  let bytes = 0;
  hanging.on('data', (chunk) => (bytes += chunk.length)).on('error', () => {});
  hanging.resume();
  await once(hanging, 'close');
  assert.ok(bytes < 5_000_000);
});
