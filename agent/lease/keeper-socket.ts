/**
 * What agent and keeper say to each other, a JSON text a line. The keeper says its status each second and its events at
 * once; the agent asks it to read its file again, and to end. Either may be of another release (`keeper-file.ts`): a kind of message that
 * one does not know is left out.
 */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { createServer, type Server, type Socket } from 'node:net';
import { rmSync } from 'node:fs';
import type { KeeperEvent } from './keeper.ts';

export type FromKeeper =
  | { readonly kind: 'status'; readonly generation: number | null; readonly liveness: Liveness }
  /** VMs that were ended since this keeper started. */
  | { readonly kind: 'ended'; readonly vmIds: readonly string[] }
  | { readonly kind: 'event'; readonly event: KeeperEvent }
  | { readonly kind: 'reloaded'; readonly error: string | null };

export type FromAgent =
  | { readonly kind: 'reload' | 'stop' }
  /** This VM was started anew: that it was ended is history. */
  | { readonly kind: 'forget'; readonly vmId: string };

/** Calls `take` with each message; lines that are none are dropped. */
export function readMessages<T>(socket: Socket, take: (message: T) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      let message: T;
      try {
        message = JSON.parse(line) as T;
      } catch {
        continue;
      }
      take(message);
    }
  });
}

export function writeMessage(socket: Socket, message: FromKeeper | FromAgent): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Of what one agent has not taken in. One that hangs gets nothing more: it is told everything anew when it comes back. */
const mostUntakenBytes = 1024 * 1024;

/** The keeper's side: all agents that are connected (one, or none). */
export class KeeperServer {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(path: string, connected: (socket: Socket) => void, take: (message: FromAgent, from: Socket) => void) {
    rmSync(path, { force: true });
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      readMessages<FromAgent>(socket, (message) => take(message, socket));
      connected(socket);
    });
    this.#server.listen(path);
  }

  tell(message: FromKeeper): void {
    for (const socket of this.#sockets) {
      if (socket.writableLength > mostUntakenBytes) socket.destroy();
      else writeMessage(socket, message);
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
