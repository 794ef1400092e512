/**
 * What stands in a host's slot of a lease file: one line that says what it is, a checksum, a JSON record, zeros. 4 KiB, so
 * that it is written and read as a whole; what was torn all the same, or comes from somebody else, has a wrong checksum.
 */
import { createHash } from 'node:crypto';

export const slotBytes = 4096;

export interface LeaseRecord {
  readonly hostId: string;
  /** Grows with each renewal, also over restarts of the keeper and the host. */
  readonly counter: number;
  readonly bootId: string;
  /** A watchdog resets the host should the keeper stop. */
  readonly guarded: boolean;
  readonly leaseMs: number;
}

/** A slot as read: nobody's yet, somebody's, or what cannot be told (torn, of another version). */
export type Slot = { readonly kind: 'empty' | 'torn' } | { readonly kind: 'record'; readonly record: LeaseRecord };

const magic = 'KVASIR-LEASE 1';
const digestLength = 64;

export function encodeSlot(record: LeaseRecord, into: Uint8Array): void {
  const content = JSON.stringify(record);
  const text = Buffer.from(`${magic}\n${digestOf(content)}\n${content}\n`);
  if (text.length > slotBytes) throw new RangeError('the record of a lease does not fit its slot');
  into.fill(0, 0, slotBytes);
  into.set(text);
}

export function decodeSlot(bytes: Uint8Array): Slot {
  if (bytes.every((byte) => byte === 0)) return { kind: 'empty' };
  const text = Buffer.from(bytes).toString('utf8');
  const [first, digest, content] = text.split('\n', 3);
  if (first !== magic || content === undefined || digest?.length !== digestLength) return { kind: 'torn' };
  if (digest !== digestOf(content)) return { kind: 'torn' };
  const record = JSON.parse(content) as Partial<LeaseRecord>;
  return isRecord(record) ? { kind: 'record', record } : { kind: 'torn' };
}

/** By hand: the process of a pool has to start at once, and a schema library takes it longer than all the rest. */
function isRecord(value: Partial<LeaseRecord>): value is LeaseRecord {
  const { hostId, counter, bootId, guarded, leaseMs } = value;
  const whole = Number.isSafeInteger(counter) && Number.isSafeInteger(leaseMs);
  return whole && typeof hostId === 'string' && typeof bootId === 'string' && typeof guarded === 'boolean';
}

function digestOf(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
