/**
 * Dials the manager: WebSocket over mutual TLS 1.3. The manager must show a certificate of our own CA with its fixed name;
 * we show this host's. A manager that falls silent is noticed by unanswered pings, for a dead machine closes nothing.
 */
import { connect as connectTls } from 'node:tls';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { maxMessageBytes, websocketLink } from '@kvasir/api/agent/wire/websocket-link.ts';
import { managerTlsName } from '@kvasir/api/agent/join-token.ts';
import { WebSocket } from 'ws';
import type { Identity } from '../identity.ts';
import { splitEndpoint } from './endpoint.ts';

const handshakeTimeoutMs = 10_000;
const pingEveryMs = 5000;
const maxUnansweredPings = 2;

export async function dialManager(identity: Identity, signal: AbortSignal): Promise<Link> {
  const endpoint = splitEndpoint(identity.record.manager);
  const target = 'host' in endpoint ? { host: endpoint.host, port: endpoint.port } : { path: endpoint.path };
  const socket = new WebSocket(`wss://${managerTlsName}/link`, {
    createConnection: () =>
      connectTls({
        ...target,
        servername: managerTlsName,
        minVersion: 'TLSv1.3',
        ca: identity.caPem,
        cert: identity.certificatePem,
        key: identity.keyPem,
      }),
    handshakeTimeout: handshakeTimeoutMs,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  socket.binaryType = 'nodebuffer';
  const link = websocketLink(socket);
  const abort = (): void => socket.terminate();
  signal.addEventListener('abort', abort);
  socket.once('close', () => signal.removeEventListener('abort', abort));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the manager hung up')));
    socket.once('unexpected-response', (_request, response) => {
      socket.terminate();
      reject(new Error(`the manager refused this host with status ${response.statusCode}`));
    });
  });
  watchSilence(socket);
  return link;
}

function watchSilence(socket: WebSocket): void {
  let unanswered = 0;
  const timer = setInterval(() => {
    if (unanswered >= maxUnansweredPings) {
      socket.terminate();
      return;
    }
    unanswered += 1;
    socket.ping();
  }, pingEveryMs);
  timer.unref();
  const heard = (): void => {
    unanswered = 0;
  };
  socket.on('pong', heard);
  socket.on('message', heard);
  socket.once('close', () => clearInterval(timer));
}
