/**
 * What guests find at 169.254.169.254: metadata by HTTP, names by DNS. The servers stand behind an internal port of the switch, which
 * gives each port of a guest an address of its own there; whoever comes from no such address gets nothing. Only addresses of this
 * host's ports come in.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:http';
import { isIPv4 } from 'node:net';
import type { SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { portOfServiceClient, serviceAddress } from '@kvasir/ovs/compile/pipeline.ts';
import type { VmMetadata } from '../network.ts';
import { limitConnections } from './connection-limit.ts';
import type { PortDirectory } from './port-directory.ts';
import { answerDns } from './responders/dns.ts';
import { ipv4Bytes } from './responders/frame.ts';
import { metadataPage } from './responders/metadata.ts';

export interface ServicesOptions {
  readonly directory: () => PortDirectory | null;
  readonly metadataOf: (vmId: string) => VmMetadata | undefined;
}

const requestTimeoutMs = 10_000;
const mostConnections = 1000;
/** Of one port of a guest. */
const mostOfOne = 16;

export class Services {
  readonly #options: ServicesOptions;
  #http: Server | null = null;
  #dns: Socket | null = null;

  constructor(options: ServicesOptions) {
    this.#options = options;
  }

  /** Opens what is not open yet; fails while the address is not there. */
  async open(): Promise<void> {
    this.#http ??= await this.#openHttp();
    this.#dns ??= await this.#openDns();
  }

  close(): void {
    this.#http?.close();
    this.#http?.closeAllConnections();
    this.#dns?.close();
  }

  async #openHttp(): Promise<Server> {
    const server = createServer((request, response) => {
      const port = this.#port(request.socket.remoteAddress);
      const vm = port === undefined ? undefined : this.#options.metadataOf(port.vmId);
      const path = (request.url ?? '/').split('?')[0]!;
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      const page =
        port === undefined || vm === undefined || !isRead
          ? { status: 404, type: 'text/plain', body: 'not found' }
          : metadataPage(path, vm, port);
      response.writeHead(page.status, { 'content-type': page.type, connection: 'close' });
      response.end(request.method === 'HEAD' ? undefined : page.body);
    });
    server.requestTimeout = requestTimeoutMs;
    server.maxConnections = mostConnections;
    limitConnections(server, mostOfOne, ({ remoteAddress = '' }) => String(clientOf(remoteAddress)?.port));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(80, serviceAddress, resolve);
    });
    server.on('error', () => undefined);
    return server;
  }

  async #openDns(): Promise<Socket> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: serviceAddress, port: 53 }, resolve);
    });
    socket.on('error', () => undefined);
    answerAll(socket, (query, address) => {
      const port = this.#port(address);
      const directory = this.#options.directory();
      return port === undefined || directory === null ? null : answerDns(query, directory.zone(port));
    });
    return socket;
  }

  #port(address: string | undefined): SlicePort | undefined {
    if (address === undefined) return undefined;
    const client = clientOf(address);
    return client === null ? undefined : this.#options.directory()?.port(client.port);
  }
}

/** What comes from port 0, as a guest may have it come, gets no answer: nothing can be sent there. */
export function answerAll(socket: Socket, answerTo: (query: Buffer, address: string) => Buffer | null): void {
  socket.on('message', (query: Buffer, { address, port }: RemoteInfo) => {
    const answer = port === 0 ? null : answerTo(query, address);
    if (answer !== null) socket.send(answer, port, address);
  });
}

function clientOf(address: string) {
  return isIPv4(address) ? portOfServiceClient(BigInt(ipv4Bytes(address).readUInt32BE(0))) : null;
}
