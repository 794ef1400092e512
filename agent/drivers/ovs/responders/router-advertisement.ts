/** The router advertisement (RFC 4861) that gives a port its IPv6 prefix, way out, MTU and name servers. Pure. */
import { ipv6Bytes, macBytes, readEthernet, readIpv6, writeEthernet, writeIcmpv6 } from './frame.ts';

export interface Advertisement {
  /** Of the router, or of the services where there is none; its link-local address is the sender. */
  readonly macAddress: string;
  /** Whether the sender is a way out. */
  readonly isRouter: boolean;
  readonly prefix: string;
  readonly prefixLength: number;
  readonly mtu: number;
  readonly dnsServers: readonly string[];
}

const allNodes = 'ff02::1';
const allNodesMac = '33:33:00:00:00:01';
const routerLifetimeSeconds = 9000;
const forever = 0xffffffff;

/** The frame that answers a solicitation; null: it was none. */
export function answerSolicitation(frame: Uint8Array, advertisement: Advertisement): Buffer | null {
  const ethernet = readEthernet(frame);
  const packet = ethernet?.type === 0x86dd ? readIpv6(ethernet.payload) : null;
  if (ethernet === null || packet === null || packet.protocol !== 58 || packet.payload[0] !== 133) return null;
  const isUnspecified = /^[0:]*$/.test(packet.source);
  return isUnspecified
    ? advertise(advertisement)
    : advertise(advertisement, { address: packet.source, macAddress: ethernet.source });
}

/** To everybody on the link unless told whom. */
export function advertise(
  { macAddress, isRouter, prefix, prefixLength, mtu, dnsServers }: Advertisement,
  to = { address: allNodes, macAddress: allNodesMac },
): Buffer {
  const header = Buffer.alloc(16);
  header[0] = 134;
  header[4] = 64;
  header.writeUInt16BE(isRouter ? routerLifetimeSeconds : 0, 6);
  const linkLayer = Buffer.concat([Buffer.of(1, 1), macBytes(macAddress)]);
  const mtuOption = Buffer.alloc(8);
  mtuOption.set([5, 1]);
  mtuOption.writeUInt32BE(mtu, 4);
  const prefixOption = Buffer.alloc(32);
  // On the link, and addresses may be formed from it.
  prefixOption.set([3, 4, prefixLength, 0xc0]);
  prefixOption.writeUInt32BE(forever, 4);
  prefixOption.writeUInt32BE(forever, 8);
  ipv6Bytes(prefix).copy(prefixOption, 16);
  const options = [linkLayer, mtuOption, prefixOption];
  if (dnsServers.length > 0) {
    const start = Buffer.alloc(8);
    start.set([25, 1 + 2 * dnsServers.length]);
    start.writeUInt32BE(forever, 4);
    options.push(Buffer.concat([start, ...dnsServers.map(ipv6Bytes)]));
  }
  const message = Buffer.concat([header, ...options]);
  return writeEthernet({
    destination: to.macAddress,
    source: macAddress,
    type: 0x86dd,
    payload: writeIcmpv6(linkLocalOf(macAddress), to.address, message),
  });
}

function linkLocalOf(macAddress: string): string {
  const bytes = macBytes(macAddress);
  bytes[0]! ^= 2;
  const id = Buffer.concat([bytes.subarray(0, 3), Buffer.of(0xff, 0xfe), bytes.subarray(3)]).toString('hex');
  return `fe80::${id.match(/.{4}/g)!.join(':')}`;
}
