/**
 * Where agents dial in: one HTTPS server (TLS 1.3) with `POST /join` for servers that have a token, and the WebSocket
 * `/link` for hosts that show their certificate. Owns the sockets; what is said over a link is `link-hub.ts`.
 *
 * Invariant: a link is accepted only from a certificate of our CA whose fingerprint is the one in the host's row now.
 */
import { rm } from 'node:fs/promises';
import { createServer, type Server as HttpsServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { maxMessageBytes, websocketLink } from '@kvasir/api/agent/wire/websocket-link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { WebSocketServer } from 'ws';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Store } from '../store/database.ts';
import { type HostRow, hosts } from '../store/hosts.ts';
import { type CertificateAuthority, fingerprintOfDer } from './ca.ts';

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface LinkServerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ca: CertificateAuthority;
  readonly listen: ListenAddress;
  /** Host names and addresses that agents dial, for the certificate. */
  readonly addresses: readonly string[];
  readonly join: (body: unknown) => Promise<unknown>;
  readonly accept: (link: Link, host: HostRow) => void;
}

export interface LinkServer {
  /** The port listened on; 0 for a unix socket. */
  readonly port: number;
  close(): Promise<void>;
}

const maxJoinBytes = 16_384;
const joinsAtOnce = 8;
const renewMs = 20 * 24 * 3600 * 1000;

export async function startLinkServer(options: LinkServerOptions): Promise<LinkServer> {
  const { ca, clock, listen, addresses } = options;
  const tls = async () => {
    const { chainPem, keyPem } = await ca.issueServer(addresses);
    return { cert: chainPem, key: keyPem, ca: ca.certificatePem, minVersion: 'TLSv1.3' as const };
  };
  let joining = 0;
  const server = createServer(
    { ...(await tls()), requestCert: true, rejectUnauthorized: false, requestTimeout: 20_000, headersTimeout: 10_000 },
    (request, response) => {
      if (request.url !== '/join' || request.method !== 'POST') return answer(response, 404, { message: 'not here' });
      if (joining >= joinsAtOnce) return answer(response, 429, { message: 'too many servers join at once; try again' });
      joining += 1;
      void takeJoin(request, response, options.join).finally(() => {
        joining -= 1;
      });
    },
  );
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxMessageBytes });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    void upgrade(request, socket, head).catch(() => refuse(socket, '500 Internal Server Error'));
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const host = request.url === '/link' ? await hostOf(options.store, request.socket as TLSSocket) : undefined;
    if (host === undefined) return refuse(socket, '403 Forbidden');
    if (socket.destroyed) return;
    sockets.handleUpgrade(request, socket, head, (websocket) => {
      websocket.binaryType = 'nodebuffer';
      options.accept(websocketLink(websocket), host);
    });
  }

  await listenOn(server, listen);
  let cancelRenewal = (): void => {};
  const renewLater = (): void => {
    cancelRenewal = clock.after(renewMs, () => {
      void tls().then((context) => server.setSecureContext(context));
      renewLater();
    });
  };
  renewLater();
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    close: async () => {
      cancelRenewal();
      for (const websocket of sockets.clients) websocket.terminate();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function hostOf(store: Store, socket: TLSSocket): Promise<HostRow | undefined> {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  const hostId = certificate.subject?.CN;
  if (typeof hostId !== 'string') return undefined;
  const host = await hosts.find(store.db, { id: hostId });
  return host?.certificateFingerprint === fingerprintOfDer(certificate.raw) ? host : undefined;
}

async function takeJoin(
  request: IncomingMessage,
  response: ServerResponse,
  join: (body: unknown) => Promise<unknown>,
): Promise<void> {
  try {
    answer(response, 200, await join(await readJson(request)));
  } catch (error) {
    const known = error instanceof KvasirError ? error : new KvasirError('internal', { logId: 'none' });
    answer(response, known.status, known.toProblem());
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).byteLength;
    if (bytes > maxJoinBytes) throw new KvasirError('body-too-large', { limitBytes: maxJoinBytes });
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new KvasirError('malformed-json');
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(text);
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

async function listenOn(server: HttpsServer, listen: ListenAddress): Promise<void> {
  if ('path' in listen && !(await answers(listen.path))) await rm(listen.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Whether somebody listens on a unix socket; a manager that was killed leaves its file behind. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
