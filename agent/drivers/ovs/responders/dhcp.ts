/**
 * DHCP for one port (RFC 2131): its address is reserved, so there is nothing to remember. Pure: a request in, an answer out.
 * The server's address is that of the host's services, the same on each host, so that a lease outlives a move of its VM.
 */
import {
  broadcastMac,
  ipv4Bytes,
  readEthernet,
  readIpv4,
  readIpv4Address,
  readMac,
  writeEthernet,
  writeIpv4,
  writeUdp,
} from './frame.ts';

export interface DhcpLease {
  readonly macAddress: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
  readonly dnsServers: readonly string[];
  readonly hostName: string | null;
  readonly domain: string | null;
  readonly mtu: number;
  readonly leaseSeconds: number;
  readonly server: { readonly address: string; readonly macAddress: string };
  /** The server's address is reached on the link itself (metadata). */
  readonly servesMetadata: boolean;
}

const kind = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
const option = {
  ...{
    mask: 1,
    router: 3,
    dns: 6,
    hostName: 12,
    domain: 15,
    mtu: 26,
    broadcast: 28,
    requested: 50,
    lease: 51,
    type: 53,
  },
  ...{ server: 54, renewal: 58, rebinding: 59, classlessRoutes: 121, end: 255 },
} as const;
const magic = 0x63825363;
const fixedLength = 240;
const smallestMessage = 300;

/** The frame that answers a frame of the port; null: no answer. */
export function answerDhcp(frame: Uint8Array, lease: DhcpLease): Buffer | null {
  const message = readRequest(frame);
  if (message === null || readMac(message, 28) !== lease.macAddress.toLowerCase()) return null;
  const options = readOptions(message);
  const type = options.get(option.type)?.[0];
  const asked = options.get(option.server);
  if (asked?.length === 4 && readIpv4Address(asked, 0) !== lease.server.address) return null;
  if (type === kind.discover) return reply(message, lease, kind.offer);
  if (type === kind.inform) return reply(message, lease, kind.ack);
  if (type !== kind.request) return null;
  const requested = options.get(option.requested);
  const wanted = requested?.length === 4 ? readIpv4Address(requested, 0) : readIpv4Address(message, 12);
  return reply(message, lease, wanted === lease.address ? kind.ack : kind.nak);
}

function readRequest(frame: Uint8Array): Buffer | null {
  const ethernet = readEthernet(frame);
  const packet = ethernet?.type === 0x0800 ? readIpv4(ethernet.payload) : null;
  if (packet === null || packet.protocol !== 17 || packet.payload.length < 8 + fixedLength) return null;
  const message = packet.payload.subarray(8);
  const isRequest = message[0] === 1 && message[1] === 1 && message[2] === 6;
  return isRequest && message.readUInt32BE(236) === magic ? message : null;
}

function readOptions(message: Buffer): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  let at = fixedLength;
  while (at < message.length && message[at] !== option.end) {
    const length = message[at] === 0 ? -1 : (message[at + 1] ?? 0);
    if (length >= 0) options.set(message[at]!, message.subarray(at + 2, at + 2 + length));
    at += length + 2;
  }
  return options;
}

function reply(request: Buffer, lease: DhcpLease, type: number): Buffer {
  const isInform = type === kind.ack && !request.subarray(12, 16).equals(Buffer.alloc(4)) && !hasRequestType(request);
  const fixed = Buffer.alloc(fixedLength);
  fixed.set([2, 1, 6, 0]);
  // Transaction, flags and the client's hardware address come back as they were.
  request.copy(fixed, 4, 4, 8);
  request.copy(fixed, 10, 10, 12);
  request.copy(fixed, 28, 28, 44);
  fixed.writeUInt32BE(magic, 236);
  if (type !== kind.nak) {
    request.copy(fixed, 12, 12, 16);
    if (!isInform) ipv4Bytes(lease.address).copy(fixed, 16);
    ipv4Bytes(lease.server.address).copy(fixed, 20);
  }
  const options = [one(option.type, Buffer.of(type)), one(option.server, ipv4Bytes(lease.server.address))];
  if (type !== kind.nak) options.push(...settings(lease, isInform));
  const body = Buffer.concat([fixed, ...options, Buffer.of(option.end)]);
  const padded = Buffer.concat([body, Buffer.alloc(Math.max(0, smallestMessage - body.length))]);
  const toBroadcast = type === kind.nak || (request[10]! & 0x80) !== 0;
  const known = readIpv4Address(request, 12);
  const address = toBroadcast ? '255.255.255.255' : known === '0.0.0.0' ? lease.address : known;
  const server = { address: lease.server.address, port: 67 };
  const udp = writeUdp(server, { address, port: 68 }, padded);
  return writeEthernet({
    destination: toBroadcast ? broadcastMac : lease.macAddress,
    source: lease.server.macAddress,
    type: 0x0800,
    payload: writeIpv4({ source: server.address, destination: address, protocol: 17, payload: udp }),
  });
}

function hasRequestType(request: Buffer): boolean {
  return readOptions(request).get(option.type)?.[0] !== kind.inform;
}

function settings(lease: DhcpLease, isInform: boolean): Buffer[] {
  const mask = maskOf(lease.prefixLength);
  const broadcast = Buffer.alloc(4);
  broadcast.writeUInt32BE((ipv4Bytes(lease.address).readUInt32BE(0) | ~mask.readUInt32BE(0)) >>> 0);
  const times = isInform
    ? []
    : [
        one(option.lease, seconds(lease.leaseSeconds)),
        one(option.renewal, seconds(Math.floor(lease.leaseSeconds / 2))),
        one(option.rebinding, seconds(Math.floor((lease.leaseSeconds * 7) / 8))),
      ];
  const mtu = Buffer.alloc(2);
  mtu.writeUInt16BE(lease.mtu);
  const routes = classlessRoutes(lease);
  return [
    ...times,
    one(option.mask, mask),
    one(option.broadcast, broadcast),
    one(option.mtu, mtu),
    ...(lease.gateway === null ? [] : [one(option.router, ipv4Bytes(lease.gateway))]),
    ...(lease.dnsServers.length === 0 ? [] : [one(option.dns, Buffer.concat(lease.dnsServers.map(ipv4Bytes)))]),
    ...(lease.hostName === null ? [] : [one(option.hostName, Buffer.from(lease.hostName))]),
    ...(lease.domain === null ? [] : [one(option.domain, Buffer.from(lease.domain))]),
    ...(routes.length === 0 ? [] : [one(option.classlessRoutes, routes)]),
  ];
}

/** Who understands this option forgets the router option, so the way out stands here again (RFC 3442). */
function classlessRoutes({ gateway, server, servesMetadata }: DhcpLease): Buffer {
  if (!servesMetadata) return Buffer.alloc(0);
  const metadata = Buffer.concat([Buffer.of(32), ipv4Bytes(server.address), ipv4Bytes('0.0.0.0')]);
  return gateway === null ? metadata : Buffer.concat([metadata, Buffer.of(0), ipv4Bytes(gateway)]);
}

function maskOf(prefixLength: number): Buffer {
  const mask = Buffer.alloc(4);
  mask.writeUInt32BE(prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0);
  return mask;
}

function seconds(count: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Math.min(count, 0xffffffff));
  return bytes;
}

function one(code: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(code, value.length), value.subarray(0, 255)]);
}
