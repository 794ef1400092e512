import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { OvsdbClient } from './ovsdb-client.ts';

test('an update that comes in one piece with the initial content is not overwritten by it', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'kvasir-ovsdb-'));
  const socketPath = join(directory, 'db.sock');
  const row = (name: string) => ({ Bridge: { id: { new: { name } } } });
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      const { id, method } = JSON.parse(chunk.toString()) as { id: number; method: string };
      if (method !== 'monitor') return;
      const initial = JSON.stringify({ id, result: row('old'), error: null });
      socket.write(initial + JSON.stringify({ id: null, method: 'update', params: ['m1', row('new')] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const client = new OvsdbClient({ socketPath, timeoutMs: 5_000 });
  context.after(async () => {
    client.close();
    server.close();
    await rm(directory, { recursive: true });
  });

  const monitor = client.monitor({ Bridge: ['name'] });
  await monitor.until(() => monitor.rows('Bridge').get('id')?.name === 'new', 5_000, 'the update');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(monitor.rows('Bridge').get('id')?.name, 'new');
});
