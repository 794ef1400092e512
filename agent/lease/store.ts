/**
 * Where leases are kept: today a file in the pool's directory, made so that an object in RADOS can take its place. Used only
 * by the process that does the I/O of one pool: a method may hang for as long as the storage does.
 */
import type { LeaseRecord, Slot } from './record.ts';

export interface LeaseStore {
  /**
   * Writes this host's slot and makes it durable (unless `own` is null), then reads the slots named. Throws when any of it
   * failed, or when the place is not the pool's: then nothing may be taken for written or read.
   */
  exchange(own: { readonly slot: number; readonly record: LeaseRecord } | null, read: readonly number[]): Slot[];
}
