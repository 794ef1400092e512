import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { it } from 'node:test';
import { limitConnections } from './connection-limit.ts';

it('a client with too many connections gets no further one until one is closed, and stops no other client', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  limitConnections(server, 2, ({ remoteAddress }) => remoteAddress ?? '');
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  /** The server greets whom it keeps. */
  server.on('connection', (socket: Socket) => void (socket.destroyed || socket.write('hello')));
  const isKept = async (localAddress: string): Promise<boolean> => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
    sockets.push(socket);
    return new Promise((resolve) => {
      socket.once('data', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
  };
  assert.deepEqual(
    [await isKept('127.0.0.2'), await isKept('127.0.0.2'), await isKept('127.0.0.2')],
    [true, true, false],
  );
  assert.equal(await isKept('127.0.0.3'), true);
  sockets[0]!.destroy();
  let kept = false;
  while (!kept) kept = await isKept('127.0.0.2');
});
