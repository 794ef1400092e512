/** One agent process for each host and machine: two would write one journal. */
import { createServer } from 'node:net';

/**
 * Takes a name that the kernel gives to one process at a time and takes back when it dies (an abstract socket; it belongs
 * to the network namespace, as a host does). Answers how to give it back.
 * @throws Error when another agent of this host runs
 */
export function holdHost(hostId: string): Promise<() => void> {
  return holdName(`kvasir-agent-${hostId}`, 'an agent of this host runs already');
}

/** The same for any name. @throws Error with `taken` when another process has it */
export function holdName(name: string, taken: string): Promise<() => void> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new Error(taken) : error);
    });
    server.listen(`\0${name}`, () => resolve(() => server.close()));
  });
}
