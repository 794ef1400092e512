/** So that no client takes all the connections that a server has: each may have some, and further ones are closed at once. */
import type { Server, Socket } from 'node:net';

/** @param clientOf what connections are counted by */
export function limitConnections(server: Server, most: number, clientOf: (socket: Socket) => string): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const client = clientOf(socket);
    const count = open.get(client) ?? 0;
    if (count >= most) {
      socket.destroy();
      return;
    }
    open.set(client, count + 1);
    socket.once('close', () => {
      const left = (open.get(client) ?? 1) - 1;
      if (left === 0) open.delete(client);
      else open.set(client, left);
    });
  });
}
