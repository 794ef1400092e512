/**
 * The process that does the I/O of one pool's lease, because it may hang for as long as the storage does. Does one exchange
 * at a time, as its parent says, and ends with it: nothing is written by itself.
 * Usage: pool-child.ts DIRECTORY POOL-ID (with an IPC channel)
 */
import { setPriority } from 'node:os';
import { FileLeaseStore } from './file-store.ts';
import { NothingWrittenError } from './parts.ts';
import type { LeaseRecord, Slot } from './record.ts';

export interface ExchangeRequest {
  readonly id: number;
  readonly own: { readonly slot: number; readonly record: LeaseRecord } | null;
  readonly read: readonly number[];
}
export type ExchangeAnswer =
  | { readonly id: number; readonly slots: readonly Slot[] }
  | { readonly id: number; readonly error: string; readonly nothingWritten: boolean; readonly isUnsupported: boolean };

function main(directory: string, poolId: string): void {
  const store = new FileLeaseStore(directory, poolId);
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    const { id, own, read } = message as ExchangeRequest;
    let answer: ExchangeAnswer;
    try {
      answer = { id, slots: store.exchange(own, read) };
    } catch (error) {
      const nothingWritten = error instanceof NothingWrittenError;
      const isUnsupported = nothingWritten && error.isUnsupported;
      answer = { id, error: error instanceof Error ? error.message : String(error), nothingWritten, isUnsupported };
    }
    process.send?.(answer, undefined, undefined, () => {});
  });
}

if (import.meta.main) {
  const [directory, poolId] = process.argv.slice(2);
  if (directory === undefined || poolId === undefined || process.send === undefined) process.exit(2);
  try {
    setPriority(-10);
  } catch {
    // Without the right to it renewals are only less certain on a busy host.
  }
  main(directory, poolId);
}
