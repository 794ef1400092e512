/**
 * Name of a NIC's tap device: the kernel allows 15 bytes, so it is a digest of the NIC's id. 55 bits: among 10,000 NICs
 * of a host two names meet with a chance of one in 700 million, and then the second port is refused, not mixed up.
 */
import { createHash } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const prefix = 'kv';
const letters = 11;

export function deviceName(nicId: string): string {
  const digest = createHash('sha256').update(nicId).digest();
  const word = [...digest.subarray(0, letters)].map((byte) => alphabet[byte % alphabet.length]).join('');
  return prefix + word;
}
