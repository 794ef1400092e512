/** Frames for tests, with right checksums (connection tracking looks at them). */
import { linkLocal, parseAddress, parseMac } from '../addresses.ts';

/** Who sends or gets: MAC and address. */
export interface Station {
  readonly mac: string;
  readonly ip: string;
}

export const broadcastMac = 'ff:ff:ff:ff:ff:ff';
export const nobodysMac = '00:00:00:00:00:00';

export function ethernet(to: string, from: string, type: number, payload: Buffer, vlan?: number): Buffer {
  const tag = vlan === undefined ? Buffer.alloc(0) : words(0x8100, vlan);
  return Buffer.concat([macBytes(to), macBytes(from), tag, words(type), payload]);
}

export function withVlan(vlan: number, frame: Buffer): Buffer {
  return Buffer.concat([frame.subarray(0, 12), words(0x8100, vlan), frame.subarray(12)]);
}

export function arpRequest(from: Station, target: string, claimed: string = from.mac): Buffer {
  return arp(1, from, { mac: nobodysMac, ip: target }, claimed, broadcastMac);
}

export function arpReply(from: Station, to: Station): Buffer {
  return arp(2, from, to, from.mac, to.mac);
}

function arp(operation: number, from: Station, to: Station, claimed: string, ethernetTo: string): Buffer {
  const head = Buffer.concat([words(1, 0x0800, 0x0604, operation)]);
  const payload = Buffer.concat([head, macBytes(claimed), ipBytes(from.ip), macBytes(to.mac), ipBytes(to.ip)]);
  return padded(ethernet(ethernetTo, from.mac, 0x0806, payload));
}

export function rarpAnnouncement(mac: string): Buffer {
  const nobody = ipBytes('0.0.0.0');
  const payload = Buffer.concat([words(1, 0x0800, 0x0604, 3), macBytes(mac), nobody, macBytes(mac), nobody]);
  return padded(ethernet(broadcastMac, mac, 0x8035, payload));
}

export interface TcpOptions {
  readonly flags: 'S' | 'SA' | 'A' | 'R';
  readonly sequence?: number;
  readonly acknowledged?: number;
}

const tcpFlags = { S: 0x02, SA: 0x12, A: 0x10, R: 0x04 } as const;

export function tcp(from: Station, to: Station, ports: readonly [number, number], options: TcpOptions): Buffer {
  const { flags, sequence = 1000, acknowledged = 0 } = options;
  const header = Buffer.alloc(20);
  header.writeUInt16BE(ports[0], 0);
  header.writeUInt16BE(ports[1], 2);
  header.writeUInt32BE(sequence, 4);
  header.writeUInt32BE(acknowledged, 8);
  header.writeUInt16BE(0x5000 | tcpFlags[flags], 12);
  header.writeUInt16BE(0xffff, 14);
  return packet(from, to, 6, header, 16);
}

export function udp(from: Station, to: Station, ports: readonly [number, number], options: PacketOptions = {}): Buffer {
  const data = Buffer.from('kvasir');
  return packet(from, to, 17, Buffer.concat([words(ports[0], ports[1], 8 + data.length, 0), data]), 6, options);
}

/** The same as a part of a larger packet: `part` is the flag for more (0x2000) and the offset in units of 8 bytes. */
export function fragment(frame: Buffer, part: number): Buffer {
  const made = Buffer.from(frame);
  made.writeUInt16BE(part, 20);
  made.writeUInt16BE(0, 24);
  made.writeUInt16BE(checksum(made.subarray(14, 34)), 24);
  return made;
}

/**
 * An IPv6 frame in two parts, of which the first ends before the message: behind a header of options, or (`within`) in that
 * header. Who looks at single parts does not see what the message is.
 */
export function hiddenInParts(frame: Buffer, within = false): readonly [Buffer, Buffer] {
  const [head, message] = [frame.subarray(0, 54), frame.subarray(54)];
  const options = Buffer.concat([Buffer.of(frame[20]!, within ? 1 : 0, 1, 4), Buffer.alloc(4)]);
  const part = (offsetAndMore: number, data: Buffer): Buffer => {
    const made = Buffer.concat([head, Buffer.of(60, 0), words(offsetAndMore, 0, 77), data]);
    made.writeUInt16BE(8 + data.length, 18);
    made[20] = 44;
    return made;
  };
  const rest = within ? Buffer.concat([Buffer.of(1, 6), Buffer.alloc(6), message]) : message;
  return [part(1, options), part(8, rest)];
}

/** `kind` 8 asks, 0 answers; over IPv6 128 and 129. */
export function ping(from: Station, to: Station, kind: 8 | 0 | 128 | 129 = 8, options: PacketOptions = {}): Buffer {
  return packet(from, to, kind < 128 ? 1 : 58, words(kind << 8, 0, 77, 1), 2, options);
}

/** A neighbour solicitation; `linkLayer` null: without the sender's own (as when it asks whether an address is free). */
export function solicitation(from: Station, target: string, linkLayer: string | null = from.mac): Buffer {
  const option = linkLayer === null ? Buffer.alloc(0) : Buffer.concat([Buffer.of(1, 1), macBytes(linkLayer)]);
  const group = Buffer.concat([ipBytes('ff02::1:ff00:0').subarray(0, 13), ipBytes(target).subarray(13)]);
  const to = { mac: `33:33:${colons(group.subarray(12))}`, ip: ipv6Text(group) };
  const body = Buffer.concat([words(135 << 8, 0, 0, 0), ipBytes(target), option]);
  return packet(from, to, 58, body, 2, { ttl: 255 });
}

/** A neighbour advertisement to all. */
export function advertisement(from: Station, target: string, linkLayer: string): Buffer {
  const option = Buffer.concat([Buffer.of(2, 1), macBytes(linkLayer)]);
  const body = Buffer.concat([words(136 << 8, 0, 0x2000, 0), ipBytes(target), option]);
  return packet(from, { mac: '33:33:00:00:00:01', ip: 'ff02::1' }, 58, body, 2, { ttl: 255 });
}

export function linkLocalOf(mac: string): Station {
  const bytes = Buffer.from(linkLocal(parseMac(mac)).toString(16).padStart(32, '0'), 'hex');
  return { mac, ip: ipv6Text(bytes) };
}

/** A router advertisement (or, with 133, a solicitation) of nothing. */
export function routerDiscovery(from: Station, type: 133 | 134): Buffer {
  const to = { mac: '33:33:00:00:00:02', ip: 'ff02::2' };
  return packet(from, to, 58, Buffer.concat([words(type << 8, 0), Buffer.alloc(12)]), 2, { ttl: 255 });
}

export interface PacketOptions {
  readonly ttl?: number;
}

function packet(
  from: Station,
  to: Station,
  protocol: number,
  body: Buffer,
  checksumAt: number,
  options: PacketOptions = {},
) {
  const { ttl = 64 } = options;
  const [source, destination] = [ipBytes(from.ip), ipBytes(to.ip)];
  const pseudo = Buffer.concat([source, destination, words(0, protocol, body.length)]);
  const sum = checksum(Buffer.concat([protocol === 1 ? Buffer.alloc(0) : pseudo, body]));
  body.writeUInt16BE(sum, checksumAt);
  if (source.length === 16) {
    const header = Buffer.concat([words(0x6000, 0, body.length), Buffer.of(protocol, ttl), source, destination]);
    return ethernet(to.mac, from.mac, 0x86dd, Buffer.concat([header, body]));
  }
  const head = [words(0x4500, 20 + body.length, 1, 0), Buffer.of(ttl, protocol), words(0), source, destination];
  const header = Buffer.concat(head);
  header.writeUInt16BE(checksum(header), 10);
  return padded(ethernet(to.mac, from.mac, 0x0800, Buffer.concat([header, body])));
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function padded(frame: Buffer): Buffer {
  return frame.length >= 60 ? frame : Buffer.concat([frame, Buffer.alloc(60 - frame.length)]);
}

function words(...values: readonly number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.of((value >> 8) & 0xff, value & 0xff)));
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function ipBytes(text: string): Buffer {
  const { family, value } = parseAddress(text);
  return Buffer.from(value.toString(16).padStart(family === 'ipv4' ? 8 : 32, '0'), 'hex');
}

function colons(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function ipv6Text(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
}
