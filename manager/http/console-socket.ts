/**
 * The console's WebSocket: `GET /v1/vms/{id}/console` with the subprotocols `kvasir.console` and `kvasir.ticket.<ticket>`.
 * The ticket alone admits; the bytes go both ways as they are, held back when the other end is slow. The host's console is
 * opened before the upgrade is answered, so a refusal is a plain HTTP answer.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import type { Environment } from '../services/call.ts';
import { hiddenHosts } from '../services/host-names.ts';
import { type Leads, requireLead } from '../services/leading.ts';
import type { ConsoleGrant } from '../services/console-tickets.ts';
import { toKvasirError } from './problems.ts';
import type { Around } from './routes.ts';

const subprotocol = 'kvasir.console';
const ticketPrefix = 'kvasir.ticket.';
const address = /^\/v1\/vms\/([0-9a-f-]{36})\/console(?:\?|$)/;
const pingMs = 30_000;

export function addConsoleSocket(app: FastifyInstance, env: Environment, { metrics, leads }: Around): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 1_048_576, handleProtocols: () => subprotocol });
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    void open(env, leads, request)
      .then((bytes) => {
        if (socket.destroyed) return bytes.destroy();
        // What is refused only now, or goes away now, leaves no console behind at the host.
        const abandon = (): void => void bytes.on('error', () => {}).destroy();
        socket.once('close', abandon);
        return sockets.handleUpgrade(request, socket, head, (client) => {
          socket.off('close', abandon);
          metrics.streams(1);
          client.once('close', () => metrics.streams(-1));
          void join(client, bytes, app.log);
        });
      })
      .catch(async (thrown: unknown) => {
        const error = toKvasirError(thrown, app.log);
        // A ticket does not tell whether an operator holds it.
        const hidden = await hiddenHosts(env.store.db, undefined);
        refuse(socket, hidden?.error(error) ?? error);
      })
      .catch((error: unknown) => refuse(socket, toKvasirError(error, app.log)));
  });
  app.addHook('preClose', async () => {
    for (const client of sockets.clients) client.close(1001, 'the manager stops');
    sockets.close();
  });
}

async function open(env: Environment, leads: Leads, request: IncomingMessage): Promise<Duplex> {
  const vmId = address.exec(request.url ?? '')?.[1];
  if (vmId === undefined) throw new KvasirError('unknown-route');
  await requireLead(env, leads, undefined);
  const grant = redeem(env, request.headers['sec-websocket-protocol']);
  if (grant?.vmId !== vmId) throw new KvasirError('unauthenticated');
  return env.links.openConsole(grant.hostId, grant.vmId, grant.kind);
}

function redeem(env: Environment, header: string | undefined): ConsoleGrant | undefined {
  const offered = (header ?? '').split(',').map((word) => word.trim());
  const ticket = offered.find((word) => word.startsWith(ticketPrefix))?.slice(ticketPrefix.length);
  return ticket !== undefined && offered.includes(subprotocol) ? env.tickets.redeem(ticket) : undefined;
}

async function join(client: WebSocket, bytes: Duplex, log: FastifyBaseLogger): Promise<void> {
  let alive = true;
  client.on('pong', () => {
    alive = true;
  });
  const ping = setInterval(() => {
    if (!alive) return client.terminate();
    alive = false;
    return client.ping();
  }, pingMs);
  try {
    const stream = createWebSocketStream(client);
    await pipeline(stream, bytes, stream);
    client.close(1000);
  } catch (error) {
    log.debug({ err: error }, 'console ended');
    bytes.destroy();
    client.close(1011, 'the console ended');
  } finally {
    clearInterval(ping);
  }
}

function refuse(socket: Duplex, error: KvasirError): void {
  const body = JSON.stringify(error.toProblem());
  const lines = [
    `HTTP/1.1 ${error.status} ${error.code}`,
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
