/**
 * What stands in a host's slot of a lease file: one line that says what it is, a checksum, a JSON record, zeros. 4 KiB, so
 * that it is written and read as a whole; what was torn all the same, or comes from somebody else, has a wrong checksum.
 */
import { createHash } from 'node:crypto';
import { closed } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

export const slotBytes = 4096;

export const LeaseRecord = closed({
  hostId: Type.String(),
  /** Grows with each renewal, also over restarts of the keeper and the host. */
  counter: Type.Integer({ minimum: 0 }),
  bootId: Type.String(),
  /** A watchdog resets the host should the keeper stop. */
  guarded: Type.Boolean(),
  leaseMs: Type.Integer({ minimum: 1 }),
});
export type LeaseRecord = Static<typeof LeaseRecord>;

/** A slot as read: nobody's yet, somebody's, or what cannot be told (torn, of another version). */
export type Slot = { readonly kind: 'empty' | 'torn' } | { readonly kind: 'record'; readonly record: LeaseRecord };

const magic = 'KVASIR-LEASE 1';
const digestLength = 64;
const checkRecord = Compile(LeaseRecord);

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
  const record: unknown = JSON.parse(content);
  return checkRecord.Check(record) ? { kind: 'record', record } : { kind: 'torn' };
}

function digestOf(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}
