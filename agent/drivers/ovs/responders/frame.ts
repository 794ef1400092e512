/** Ethernet frames as bytes: reading the few layers that the responders answer, and building them with right checksums. */

export const broadcastMac = 'ff:ff:ff:ff:ff:ff';

export interface Ethernet {
  readonly destination: string;
  readonly source: string;
  readonly type: number;
  readonly payload: Buffer;
}

export interface Ip {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly payload: Buffer;
}

/** null: too short. Tags of VLANs are not expected. */
export function readEthernet(frame: Uint8Array): Ethernet | null {
  if (frame.length < 14) return null;
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  return {
    destination: readMac(bytes, 0),
    source: readMac(bytes, 6),
    type: bytes.readUInt16BE(12),
    payload: bytes.subarray(14),
  };
}

export function writeEthernet({ destination, source, type, payload }: Ethernet): Buffer {
  const header = Buffer.alloc(14);
  macBytes(destination).copy(header, 0);
  macBytes(source).copy(header, 6);
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}

export function readIpv4(packet: Buffer): Ip | null {
  if (packet.length < 20 || packet[0]! >> 4 !== 4) return null;
  const headerLength = (packet[0]! & 0xf) * 4;
  const end = Math.min(packet.readUInt16BE(2), packet.length);
  if (headerLength < 20 || end < headerLength) return null;
  return {
    source: readIpv4Address(packet, 12),
    destination: readIpv4Address(packet, 16),
    protocol: packet[9]!,
    payload: packet.subarray(headerLength, end),
  };
}

export function writeIpv4({ source, destination, protocol, payload }: Ip): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 64;
  header[9] = protocol;
  ipv4Bytes(source).copy(header, 12);
  ipv4Bytes(destination).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function readIpv6(packet: Buffer): Ip | null {
  if (packet.length < 40 || packet[0]! >> 4 !== 6) return null;
  return {
    source: readIpv6Address(packet, 8),
    destination: readIpv6Address(packet, 24),
    protocol: packet[6]!,
    payload: packet.subarray(40, 40 + packet.readUInt16BE(4)),
  };
}

/** ICMPv6 within IPv6; the checksum in `message` is filled in. */
export function writeIcmpv6(source: string, destination: string, message: Buffer): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(message.length, 4);
  header[6] = 58;
  header[7] = 255;
  ipv6Bytes(source).copy(header, 8);
  ipv6Bytes(destination).copy(header, 24);
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(message.length, 0);
  pseudo[7] = 58;
  const filled = Buffer.from(message);
  filled.writeUInt16BE(0, 2);
  filled.writeUInt16BE(checksum(Buffer.concat([header.subarray(8), pseudo, filled])), 2);
  return Buffer.concat([header, filled]);
}

/** UDP over IPv4. */
export function writeUdp(
  from: { readonly address: string; readonly port: number },
  to: { readonly address: string; readonly port: number },
  payload: Buffer,
): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  const pseudo = Buffer.alloc(12);
  ipv4Bytes(from.address).copy(pseudo, 0);
  ipv4Bytes(to.address).copy(pseudo, 4);
  pseudo[9] = 17;
  pseudo.writeUInt16BE(8 + payload.length, 10);
  const sum = checksum(Buffer.concat([pseudo, header, payload]));
  header.writeUInt16BE(sum === 0 ? 0xffff : sum, 6);
  return Buffer.concat([header, payload]);
}

/** One's complement sum of 16-bit words (RFC 1071). */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

export function readMac(bytes: Buffer, at: number): string {
  return bytes
    .toString('hex', at, at + 6)
    .match(/../g)!
    .join(':');
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function readIpv4Address(bytes: Buffer, at: number): string {
  return [...bytes.subarray(at, at + 4)].join('.');
}

export function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/** Eight groups, not shortened. */
function readIpv6Address(bytes: Buffer, at: number): string {
  return bytes
    .toString('hex', at, at + 16)
    .match(/.{4}/g)!
    .join(':');
}

/** Of an address as people write it (`fd00::5`); no IPv4 part. */
export function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
