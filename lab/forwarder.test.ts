import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { text } from 'node:stream/consumers';
import { listen } from './forwarder.ts';

describe('forwarder', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-forwarder-'));
  const socketPath = join(directory, 'agent.sock');
  let listener: Awaited<ReturnType<typeof listen>>;
  const port = (): number => (listener.address() as AddressInfo).port;

  before(async () => {
    listener = await listen('127.0.0.1', 0, socketPath);
  });

  after(() => {
    listener.close();
    rmSync(directory, { recursive: true });
  });

  it('closes the connection while the manager is down', async () => {
    const client = connect(port(), '127.0.0.1');
    client.on('error', () => undefined);
    client.resume();
    await once(client, 'close');
  });

  it('passes bytes and ends in both directions', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      void text(socket).then((asked) => socket.end(`heard ${asked.length}`));
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    try {
      const client = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true });
      client.end('x'.repeat(300_000));
      assert.equal(await text(client), 'heard 300000');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
