/** What is in a frame, in a line that a test can state: `a2>a1 10.0.0.2>10.0.0.1 udp 53>1000`. MACs by their last two bytes. */
import { ipv6Text } from './frames.ts';

export function frameText(frame: Buffer): string {
  const [to, from] = [mac(frame, 0), mac(frame, 6)];
  const vlan = frame.readUInt16BE(12) === 0x8100 ? `vlan ${frame.readUInt16BE(14) & 0xfff} ` : '';
  const at = vlan === '' ? 12 : 16;
  return `${from}>${to} ${vlan}${payloadText(frame.readUInt16BE(at), frame.subarray(at + 2))}`;
}

function payloadText(type: number, bytes: Buffer): string {
  if (type === 0x0800) return ipv4Text(bytes);
  if (type === 0x86dd) return ipv6PacketText(bytes);
  if (type === 0x8035) return 'rarp';
  if (type !== 0x0806) return `type ${type.toString(16)}`;
  const [sender, target] = [ipv4(bytes, 14), ipv4(bytes, 24)];
  return bytes.readUInt16BE(6) === 1 ? `arp who has ${target}, tell ${sender}` : `arp ${sender} is at ${mac(bytes, 8)}`;
}

function ipv4Text(bytes: Buffer): string {
  const body = bytes.subarray(20);
  return `${ipv4(bytes, 12)}>${ipv4(bytes, 16)} ${protocolText(bytes[9] as number, body)}${ttl(bytes[8] as number)}`;
}

function ipv6PacketText(bytes: Buffer): string {
  const ends = `${ipv6(bytes, 8)}>${ipv6(bytes, 24)}`;
  const [protocol, body] = [bytes[6] as number, bytes.subarray(40)];
  if (protocol !== 58) return `${ends} ${protocolText(protocol, body)}`;
  if (body[0] === 136) return `${ends} nd ${ipv6(body, 8)} is at ${body.length >= 32 ? mac(body, 26) : 'nowhere'}`;
  if (body[0] === 135) return `${ends} nd who has ${ipv6(body, 8)}`;
  return `${ends} icmp ${body[0]}${ttl(bytes[7] as number)}`;
}

function protocolText(protocol: number, body: Buffer): string {
  const ports = (): string => `${body.readUInt16BE(0)}>${body.readUInt16BE(2)}`;
  if (protocol === 6) return `tcp ${ports()} ${tcpFlags(body[13] as number)}`;
  if (protocol === 17) return `udp ${ports()}`;
  return protocol === 1 ? `icmp ${body[0]}` : `protocol ${protocol}`;
}

function tcpFlags(bits: number): string {
  return `${bits & 2 ? 'S' : ''}${bits & 4 ? 'R' : ''}${bits & 16 ? 'A' : ''}`;
}

/** Only worth a word when it is not what frames start with. */
function ttl(hops: number): string {
  return hops === 64 || hops === 255 ? '' : ` ttl ${hops}`;
}

function mac(bytes: Buffer, at: number): string {
  const all = bytes.subarray(at, at + 6).toString('hex');
  return all === 'ffffffffffff' ? 'all' : all.slice(8).replace(/^0+(?=.)/, '');
}

function ipv4(bytes: Buffer, at: number): string {
  return [...bytes.subarray(at, at + 4)].join('.');
}

function ipv6(bytes: Buffer, at: number): string {
  return new URL(`http://[${ipv6Text(bytes.subarray(at, at + 16))}]/`).hostname.slice(1, -1);
}
