/**
 * The manager's plug in the lab's management network: listens there for agents and passes bytes to the unix socket that
 * the manager serves, so the manager itself needs no address outside 127.0.0.1. Knows nothing of what it carries.
 * Usage: node forwarder.ts ADDRESS PORT UNIX-SOCKET (started inside the fabric's network namespace).
 */
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { pathToFileURL } from 'node:url';

/** Passes both directions, ends included; an error on one side breaks the other, as a broken wire would. */
export function join(client: Socket, server: Socket): void {
  client.pipe(server);
  server.pipe(client);
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
  client.on('close', () => server.destroy());
  server.on('close', () => client.destroy());
}

export function listen(address: string, port: number, unixSocket: string): Promise<ReturnType<typeof createServer>> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
    join(client, connect({ path: unixSocket, allowHalfOpen: true })),
  );
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, address, () => resolve(listener));
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [address, port, unixSocket] = process.argv.slice(2);
  if (address === undefined || port === undefined || unixSocket === undefined) {
    process.stderr.write('usage: forwarder.ts ADDRESS PORT UNIX-SOCKET\n');
    process.exitCode = 2;
  } else await listen(address, Number(port), unixSocket);
}
