/** Asks whether a service is up by knocking at its unix socket, which is surer than the file's presence. */
import { connect } from 'node:net';

/** Whether somebody accepts connections on a unix socket. */
export function acceptsConnections(unixSocket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(unixSocket);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
