/** ARP (RFC 826): questions of gateways, and the answers to them. Pure. */
import { broadcastMac, ipv4Bytes, macBytes, readEthernet, readIpv4Address, readMac, writeEthernet } from './frame.ts';

const type = 0x0806;
const length = 28;

/** Asks who has `target`; with the sender's own address it announces that. */
export function arpFrame(senderMac: string, senderAddress: string, target: string): Buffer {
  const message = Buffer.alloc(length);
  message.set([0, 1, 8, 0, 6, 4, 0, 1]);
  macBytes(senderMac).copy(message, 8);
  ipv4Bytes(senderAddress).copy(message, 14);
  ipv4Bytes(target).copy(message, 24);
  return writeEthernet({ destination: broadcastMac, source: senderMac, type, payload: message });
}

export interface ArpMessage {
  readonly isReply: boolean;
  readonly senderMac: string;
  readonly senderAddress: string;
}

export function readArp(frame: Uint8Array): ArpMessage | null {
  const ethernet = readEthernet(frame);
  if (ethernet?.type !== type || ethernet.payload.length < length) return null;
  const { payload } = ethernet;
  return {
    isReply: payload.readUInt16BE(6) === 2,
    senderMac: readMac(payload, 8),
    senderAddress: readIpv4Address(payload, 14),
  };
}
